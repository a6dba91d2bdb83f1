#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "supervisor/pool/control_api.hpp"

namespace supervise::control {

struct HttpRequest {
    std::string method;
    std::string target;
    std::string body;
    uid_t user = 0;  ///< who asks, with Access::own_pools
};

struct HttpResponse {
    unsigned status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::string allow = {};  ///< the methods that the path has, with 405
};

/// {"error": ...} with its status.
HttpResponse error_response(const ApiError& error);

/// Requests over TCP may look and not touch: there is no peer to check. The user of a pool whose
/// front supervise runs may look at that pool, and do to it what Celery's remote control can.
enum class Access { full, read_only, own_pools };

/// From a request to an answer, through a ControlApi. Knows no socket. Owned by the HttpServer; the
/// ControlApi must outlive it.
class Router {
  public:
    explicit Router(ControlApi& api) : api_(api) {}

    /// `client_gone` gives a wait that ends when the client has left: then nobody waits for the
    /// job any more. Only a submit that waits suspends.
    using ClientGone = std::function<boost::asio::awaitable<void>()>;
    boost::asio::awaitable<HttpResponse> handle(HttpRequest request, Access access,
                                                ClientGone client_gone);

  private:
    HttpResponse own_status(const std::vector<std::string>& own);
    boost::asio::awaitable<HttpResponse> submit(std::string pool, std::string body,
                                                ClientGone client_gone);

    ControlApi& api_;
};

}  // namespace supervise::control
