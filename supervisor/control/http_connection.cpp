#include "http_connection.hpp"

#include <poll.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <sstream>

namespace supervise::control {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

using Socket = asio::generic::stream_protocol::socket;
using Parser = http::request_parser<http::string_body>;
using Response = http::response<http::string_body>;

constexpr std::uint32_t max_header = 8 * 1024;
constexpr std::uint64_t max_body = 64 * 1024;
constexpr std::size_t read_buffer = 16 * 1024;  // holds a header of max_header
constexpr Duration linger_time = std::chrono::seconds(1);
constexpr std::size_t linger_bytes = 1024 * 1024;

Response make_response(const HttpResponse& answer, unsigned version, bool keep_alive) {
    Response response(static_cast<http::status>(answer.status), version);
    response.set(http::field::server, "supervise");
    response.set(http::field::content_type, answer.content_type);
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    if (answer.status == 405) {
        response.set(http::field::allow, answer.allow);
    }
    response.keep_alive(keep_alive);
    response.body() = answer.body;
    response.prepare_payload();
    return response;
}

/// Nothing when there is nobody to tell.
std::optional<ApiError> rule_broken(error_code failure, bool timed_out, bool begun) {
    if (timed_out) {
        return begun ? std::optional(ApiError{408, "too_slow", "the request took too long"})
                     : std::nullopt;
    }
    if (failure == http::error::header_limit || failure == http::error::buffer_overflow) {
        return ApiError{431, "header_too_large",
                        "a request's header has at most " + std::to_string(max_header) + " bytes"};
    }
    if (failure == http::error::body_limit) {
        return ApiError{413, "body_too_large",
                        "a request's body has at most " + std::to_string(max_body) + " bytes"};
    }
    if (failure == http::error::end_of_stream || failure == http::error::partial_message ||
        failure.category() != make_error_code(http::error::bad_method).category()) {
        return std::nullopt;
    }
    return ApiError{400, "bad_http", "this is not HTTP/1.1: " + failure.message()};
}

/// One connection's state; the coroutine frame of serve_client() owns it.
class Connection {
  public:
    Connection(HttpClient& client, Router& router, Clock& clock, const Logger& logger,
               Duration idle_timeout)
        : socket_(client.socket),
          peer_(client.peer),
          operates_(client.operates),
          router_(router),
          clock_(clock),
          logger_(logger),
          idle_timeout_(idle_timeout) {}

    asio::awaitable<void> run() {
        bool more = true;
        while (more) {
            more = co_await serve_one();
        }
    }

  private:
    asio::awaitable<bool> serve_one();
    asio::awaitable<error_code> read(Parser& parser);
    asio::awaitable<error_code> write(Response& response);
    asio::awaitable<bool> end_with(ApiError error);
    asio::awaitable<error_code> drain();
    asio::awaitable<void> client_gone();
    Access access() const {
        return !peer_ ? Access::read_only : operates_ ? Access::full : Access::own_pools;
    }
    asio::awaitable<error_code> within(Duration limit, asio::awaitable<error_code> work);
    void log_request(const HttpRequest& request, unsigned status) const;

    Socket& socket_;
    const std::optional<ipc::PeerCredentials>& peer_;
    bool operates_;
    Router& router_;
    Clock& clock_;
    const Logger& logger_;
    Duration idle_timeout_;
    beast::flat_buffer buffer_{read_buffer};
};

/// True when the client may ask again.
asio::awaitable<bool> Connection::serve_one() {
    Parser parser;
    parser.header_limit(max_header);
    parser.body_limit(max_body);
    const error_code failure = co_await within(idle_timeout_, read(parser));
    if (failure) {
        const bool timed_out = failure == asio::error::timed_out;
        const bool begun = parser.got_some() || buffer_.size() > 0;
        auto error = rule_broken(failure, timed_out, begun);
        if (!error) {
            co_return false;
        }
        co_return co_await end_with(std::move(*error));
    }
    HttpRequest request;
    request.method = std::string(parser.get().method_string());
    request.target = std::string(parser.get().target());
    request.body = std::move(parser.get().body());
    const bool keep_alive = parser.get().keep_alive();
    request.user = peer_ ? peer_->uid : 0;
    const HttpResponse answer =
        co_await router_.handle(request, access(), [this] { return client_gone(); });
    log_request(request, answer.status);

    Response response = make_response(answer, parser.get().version(), keep_alive);
    if (request.method == "HEAD") {
        response.body().clear();  // the length stays, as RFC 9110 has it
    }
    const error_code unsent = co_await within(idle_timeout_, write(response));
    co_return !unsent && keep_alive;
}

asio::awaitable<error_code> Connection::read(Parser& parser) {
    error_code failure;
    co_await http::async_read_header(socket_, buffer_, parser,
                                     asio::redirect_error(asio::use_awaitable, failure));
    if (failure) {
        co_return failure;
    }
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
        http::response<http::string_body> go_on(http::status::continue_, 11);
        failure = co_await write(go_on);
        if (failure) {
            co_return failure;
        }
    }
    co_await http::async_read(socket_, buffer_, parser,
                              asio::redirect_error(asio::use_awaitable, failure));
    co_return failure;
}

asio::awaitable<error_code> Connection::write(Response& response) {
    error_code failure;
    co_await http::async_write(socket_, response,
                               asio::redirect_error(asio::use_awaitable, failure));
    co_return failure;
}

/// Says why and closes. What the client still sends is read and dropped for a moment: closing with
/// unread bytes would reset the connection and take the answer away from the client.
asio::awaitable<bool> Connection::end_with(ApiError error) {
    logger_.debug("control.refused", {{"code", error.code}, {"message", error.message}});
    Response response = make_response(error_response(error), 11, false);
    const error_code unsent = co_await within(idle_timeout_, write(response));
    if (!unsent) {
        error_code ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
        co_await within(linger_time, drain());
    }
    co_return false;
}

asio::awaitable<error_code> Connection::drain() {
    error_code failure;
    char dropped[4096];
    for (std::size_t seen = 0; !failure && seen < linger_bytes;) {
        const std::size_t got = co_await socket_.async_read_some(
            asio::buffer(dropped), asio::redirect_error(asio::use_awaitable, failure));
        seen += got;
    }
    co_return failure;
}

/// Ends when the client has closed its end. One that only will not send any more ("nc -N"), or
/// that sends its next request early, still waits for its answer.
asio::awaitable<void> Connection::client_gone() {
    co_await socket_.async_wait(Socket::wait_read, asio::use_awaitable);
    pollfd state{socket_.native_handle(), 0, 0};
    ::poll(&state, 1, 0);
    if ((state.revents & (POLLHUP | POLLERR)) == 0) {
        co_await clock_.sleep_until(TimePoint::max());
    }
}

asio::awaitable<error_code> Connection::within(Duration limit, asio::awaitable<error_code> work) {
    using namespace asio::experimental::awaitable_operators;
    const auto first = co_await (std::move(work) || clock_.sleep_for(limit));
    if (first.index() == 1) {
        co_return asio::error::timed_out;
    }
    co_return std::get<0>(first);
}

void Connection::log_request(const HttpRequest& request, unsigned status) const {
    const bool changes = request.method != "GET" && request.method != "HEAD";
    const bool is_job = request.target.size() > 5 && request.target.ends_with("/jobs");
    // Who changed what belongs in the log; what was only looked at, and jobs, would fill it.
    logger_.log(changes && !is_job ? LogLevel::info : LogLevel::debug, "control.request",
                {{"method", request.method},
                 {"path", request.target},
                 {"status", status},
                 {"uid", peer_ ? std::to_string(peer_->uid) : std::string("-")},
                 {"pid", peer_ ? std::to_string(peer_->pid) : std::string("-")}});
}

}  // namespace

asio::awaitable<void> serve_client(HttpClient client, Router& router, Clock& clock,
                                   const Logger& logger, Duration idle_timeout) {
    Connection connection(client, router, clock, logger, idle_timeout);
    co_await connection.run();
}

std::string refusal_text(const ApiError& error) {
    std::ostringstream text;
    text << make_response(error_response(error), 11, false);
    return std::move(text).str();
}

}  // namespace supervise::control
