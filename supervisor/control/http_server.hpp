#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "http_connection.hpp"
#include "listener.hpp"

namespace supervise {
class TaskGroup;
}

namespace supervise::control {

/// The control plane: HTTP/1.1 on <runtime_dir>/control.sock, and read-only on a TCP address where
/// one is given. Owned by the supervisor; never touches pools but through the ControlApi.
class HttpServer {
  public:
    struct Options {
        std::string runtime_dir;
        std::optional<std::string> listen;  ///< "host:port"
        std::vector<uid_t> operators;       ///< user IDs, besides root and our own
        bool for_owners = false;            ///< pools' users may connect, see Access::own_pools
        unsigned max_connections = 64;
        Duration idle_timeout = std::chrono::seconds(30);  ///< also for one whole request
    };
    /// `api` and `clock` outlive the server.
    HttpServer(boost::asio::any_io_executor executor, ControlApi& api, Clock& clock, Logger logger,
               Options options);

    /// Opens the listening sockets; the error names the address and says why.
    Result<void> open();
    /// After a reload, as for_owners.
    void let_owners_in();
    /// Serves until cancelled, then removes the sockets; open() must have succeeded.
    boost::asio::awaitable<void> run();

    std::string socket_path() const { return options_.runtime_dir + "/control.sock"; }
    /// The TCP address with the real port, once open.
    std::optional<std::string> tcp_address() const;

  private:
    boost::asio::awaitable<void> accept_from(const Listener& listener, TaskGroup& group);
    boost::asio::awaitable<void> serve(HttpClient client);
    void admit(UniqueFd socket, bool local, TaskGroup& group);

    boost::asio::any_io_executor executor_;
    ControlApi& api_;
    Router router_;
    Clock& clock_;
    Logger logger_;
    Options options_;
    std::vector<Listener> listeners_;
    unsigned connections_ = 0;
};

}  // namespace supervise::control
