#include "control_client.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cstring>

#include "ipc/listener.hpp"

namespace supervise::cli {
namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr std::uint64_t max_reply = 64ULL << 20;

}  // namespace

Result<UniqueFd> ControlClient::connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) {
        return errno_error("connect to", path_, ENAMETOOLONG);
    }
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    // Non-blocking: with a full backlog connect() would wait without end; so it says EAGAIN.
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return errno_error("connect to", path_);
    }
    return socket;
}

Result<Reply> ControlClient::exchange(const char* method, const std::string& target,
                                      const std::string& body,
                                      std::optional<Duration> limit) const {
    auto connected = connect();
    if (!connected) {
        return connected.error();
    }
    asio::io_context io(1);
    asio::local::stream_protocol::socket socket(io, asio::local::stream_protocol(),
                                                connected->release());
    http::request<http::string_body> request(http::string_to_verb(method), target, 11);
    request.set(http::field::host, "supervise");
    request.set(http::field::content_type, "application/json");
    request.keep_alive(false);
    request.body() = body;
    request.prepare_payload();

    boost::beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(max_reply);
    error_code failure;
    http::async_write(socket, request, [&](error_code, std::size_t) {
        // Also when not all could be sent: the supervisor may have refused before it read it.
        http::async_read(socket, buffer, parser,
                         [&](error_code error, std::size_t) { failure = error; });
    });
    if (limit) {
        io.run_for(*limit);
    } else {
        io.run();
    }
    if (!io.stopped()) {
        return errno_error("wait for the answer of", path_, ETIMEDOUT);
    }
    if (failure) {
        return errno_error("read the answer of", path_, ECONNRESET);
    }
    return Reply{parser.get().result_int(), std::move(parser.get().body())};
}

Result<Reply> ControlClient::get(const std::string& target, std::optional<Duration> limit) const {
    return exchange("GET", target, "", limit);
}

Result<Reply> ControlClient::post(const std::string& target, const std::string& body,
                                  std::optional<Duration> limit) const {
    return exchange("POST", target, body, limit);
}

Result<UniqueFd> ControlClient::supervisor_process() const {
    const auto socket = connect();
    if (!socket) {
        return socket.error();
    }
    // Not the pid that /status tells: that one is of the supervisor's own process namespace.
    const auto peer = ipc::peer_credentials(socket->get());
    if (!peer) {
        return peer.error();
    }
    UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, peer->pid, 0)));
    if (!process) {
        return errno_error("watch the supervisor, process", std::to_string(peer->pid));
    }
    return process;
}

}  // namespace supervise::cli
