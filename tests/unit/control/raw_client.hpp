#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>

#include "base/unique_fd.hpp"

namespace supervise::test {

struct RawResponse {
    unsigned status = 0;  ///< 0: the connection ended before a whole response
    std::string head;
    std::string body;
};

/// A client that sends any bytes whatever. Waits at most 20 s for anything.
class RawClient {
  public:
    static RawClient on_path(const std::string& runtime_dir) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, (runtime_dir + "/control.sock").c_str());
        return RawClient(AF_UNIX, reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    static RawClient on_port(const std::string& host_port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(
            static_cast<std::uint16_t>(std::stoi(host_port.substr(host_port.rfind(':') + 1))));
        return RawClient(AF_INET, reinterpret_cast<sockaddr*>(&address), sizeof address);
    }

    /// False when the server does not listen any more.
    bool send(const std::string& bytes) {
        for (std::size_t sent = 0; sent < bytes.size();) {
            const auto n =
                ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
            if (n < 0) {
                return false;
            }
            sent += static_cast<std::size_t>(n);
        }
        return true;
    }

    RawResponse receive() {
        std::size_t end = 0;
        while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
            if (!more()) {
                return {};
            }
        }
        RawResponse response;
        response.head = pending_.substr(0, end + 2);
        pending_.erase(0, end + 4);
        std::from_chars(response.head.data() + 9, response.head.data() + 12, response.status);
        std::size_t length = 0;
        const std::string name = "Content-Length: ";
        if (const auto at = response.head.find(name); at != std::string::npos) {
            length = std::stoul(response.head.substr(at + name.size()));
        }
        while (pending_.size() < length && more()) {
        }
        response.body = pending_.substr(0, length);
        pending_.erase(0, length);
        return response;
    }
    RawResponse ask(const std::string& bytes) {
        send(bytes);
        return receive();
    }
    RawResponse get(const std::string& path) {
        return ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    RawResponse post(const std::string& path, const std::string& body = "") {
        return ask("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    /// True when the server has closed and nothing more came.
    bool closed_by_server() { return !more(); }
    void send_no_more() { ::shutdown(fd_.get(), SHUT_WR); }
    void close() { fd_.reset(); }

  private:
    RawClient(int family, const sockaddr* address, socklen_t size)
        : fd_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const timeval limit{20, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (::connect(fd_.get(), address, size) != 0) {
            throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
        }
    }
    bool more() {
        char block[4096];
        const auto got = ::recv(fd_.get(), block, sizeof block, 0);
        if (got <= 0) {
            return false;
        }
        pending_.append(block, static_cast<std::size_t>(got));
        return true;
    }

    UniqueFd fd_;
    std::string pending_;
};

}  // namespace supervise::test
