#include "http_server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "base/task_group.hpp"

namespace supervise::control {
namespace asio = boost::asio;

namespace {

/// Waits on a listening socket that somebody else owns.
class Readiness {
  public:
    Readiness(asio::any_io_executor executor, int fd) : descriptor_(std::move(executor), fd) {}
    ~Readiness() { descriptor_.release(); }
    Readiness(const Readiness&) = delete;
    Readiness& operator=(const Readiness&) = delete;

    asio::awaitable<void> wait() {
        return descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                                      asio::use_awaitable);
    }

  private:
    asio::posix::stream_descriptor descriptor_;
};

/// What a fresh socket's buffer takes, without waiting: whoever is refused costs nothing more.
void refuse(int socket, const ApiError& error) {
    const std::string text = refusal_text(error);
    [[maybe_unused]] const auto sent =
        ::send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool may_operate(uid_t user, const std::vector<uid_t>& operators) {
    return user == 0 || user == ::geteuid() ||
           std::find(operators.begin(), operators.end(), user) != operators.end();
}

}  // namespace

HttpServer::HttpServer(asio::any_io_executor executor, ControlApi& api, Clock& clock, Logger logger,
                       Options options)
    : executor_(std::move(executor)),
      api_(api),
      router_(api),
      clock_(clock),
      logger_(std::move(logger)),
      options_(std::move(options)) {}

Result<void> HttpServer::open() {
    auto local =
        Listener::on_path(socket_path(), options_.for_owners || !options_.operators.empty());
    if (!local) {
        return local.error();
    }
    listeners_.push_back(std::move(*local));
    if (options_.listen) {
        auto tcp = Listener::on_address(*options_.listen);
        if (!tcp) {
            listeners_.clear();
            return tcp.error();
        }
        listeners_.push_back(std::move(*tcp));
    }
    for (const Listener& listener : listeners_) {
        logger_.info("control.listening", {{"address", listener.name()}});
    }
    return {};
}

void HttpServer::let_owners_in() {
    if (::chmod(socket_path().c_str(), 0666) != 0) {
        logger_.warning("control.closed_to_owners",
                        {{"path", socket_path()}, {"error", std::strerror(errno)}});
    }
}

std::optional<std::string> HttpServer::tcp_address() const {
    for (const Listener& listener : listeners_) {
        if (!listener.is_local()) {
            return listener.name();
        }
    }
    return std::nullopt;
}

asio::awaitable<void> HttpServer::run() {
    TaskGroup group(executor_);
    for (const Listener& listener : listeners_) {
        group.spawn("control " + listener.name(), accept_from(listener, group));
    }
    co_await group.join();
    listeners_.clear();  // who waits in the backlog learns at once that nobody will come
}

asio::awaitable<void> HttpServer::accept_from(const Listener& listener, TaskGroup& group) {
    Readiness readiness(executor_, listener.fd());
    for (;;) {
        // One at a time, with a turn for the others between: those who leave are seen before the
        // next one is told that there is no room, and a flood of clients does not hold the loop.
        co_await readiness.wait();
        // Not Asio's accept: its sockets are not close-on-exec.
        UniqueFd socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (socket) {
            admit(std::move(socket), listener.is_local(), group);
        } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
            // Most likely out of descriptors: the connection waits in the backlog.
            logger_.warning("control.accept_failed",
                            {{"error", errno_error("accept on", listener.name()).message()}});
            co_await clock_.sleep_for(std::chrono::seconds(1));
        }
    }
}

void HttpServer::admit(UniqueFd socket, bool local, TaskGroup& group) {
    std::optional<ipc::PeerCredentials> peer;
    bool operates = true;
    if (local) {
        const auto found = ipc::peer_credentials(socket.get());
        if (!found) {
            return;
        }
        peer = *found;
        operates = may_operate(peer->uid, options_.operators);
        if (!operates && api_.pools_of(peer->uid).empty()) {
            logger_.warning("control.forbidden", {{"uid", peer->uid}, {"pid", peer->pid}});
            refuse(socket.get(),
                   {403, "not_permitted",
                    "user " + std::to_string(peer->uid) +
                        " may not use this socket; name it in [supervisor] operators"});
            return;
        }
    }
    // Pools' users are not to keep the operators out.
    if (connections_ >= options_.max_connections / (operates ? 1 : 2)) {
        refuse(socket.get(), {503, "too_many_connections",
                              std::to_string(connections_) + " connections are open; try again"});
        return;
    }
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    const asio::generic::stream_protocol protocol(address.ss_family, 0);
    HttpClient client{{executor_, protocol, socket.get()}, peer, operates};
    socket.release();
    ++connections_;
    group.spawn("control client", serve(std::move(client)));
}

asio::awaitable<void> HttpServer::serve(HttpClient client) {
    struct Departure {
        unsigned& count;
        ~Departure() { --count; }
    } departure{connections_};
    try {
        co_await serve_client(std::move(client), router_, clock_, logger_, options_.idle_timeout);
    } catch (const boost::system::system_error&) {
        // Cancelled, or a socket that broke: nobody is left to tell.
    } catch (const std::exception& error) {
        logger_.error("control.error", {{"error", error.what()}});
    }
}

}  // namespace supervise::control
