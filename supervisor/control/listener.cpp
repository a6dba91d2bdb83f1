#include "listener.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <memory>

#include "base/unix_socket.hpp"

namespace supervise::control {

namespace {

constexpr int backlog = 64;

struct FreeAddresses {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Error bad_address(const std::string& address, const std::string& why) {
    return errno_error("listen (" + why + ") on", address, EINVAL);
}

Result<Addresses> resolve(const std::string& host_port) {
    const std::size_t colon = host_port.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == host_port.size()) {
        return bad_address(host_port, "write it as \"127.0.0.1:9877\"");
    }
    std::string host = host_port.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    addrinfo hints{};
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int failure = ::getaddrinfo(host.c_str(), host_port.c_str() + colon + 1, &hints, &list);
    if (failure != 0) {
        return bad_address(host_port, ::gai_strerror(failure));
    }
    return Addresses(list);
}

std::string name_of_socket(int socket) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, port,
                      sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return "?";
    }
    const bool is_v6 = address.ss_family == AF_INET6;
    return (is_v6 ? '[' + std::string(host) + ']' : std::string(host)) + ':' + port;
}

}  // namespace

Result<Listener> Listener::on_path(const std::string& path, bool for_others) {
    if (path.size() >= sizeof sockaddr_un::sun_path) {
        return errno_error("listen (runtime_dir is too long for a socket, which takes " +
                               std::to_string(sizeof sockaddr_un::sun_path - 1) + " bytes) on",
                           path, ENAMETOOLONG);
    }
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return errno_error("make a socket for", path);
    }
    if (const Result<void> listens = listen_at(fd.get(), path, for_others ? 0666 : 0600, backlog);
        !listens) {
        return listens.error();
    }
    return Listener(std::move(fd), true, path);
}

Result<Listener> Listener::on_address(const std::string& host_port) {
    const auto addresses = resolve(host_port);
    if (!addresses) {
        return addresses.error();
    }
    const addrinfo& first = **addresses;
    UniqueFd fd(::socket(first.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(fd.get(), first.ai_addr, first.ai_addrlen) != 0 ||
        ::listen(fd.get(), backlog) != 0) {
        return errno_error("listen on", host_port);
    }
    std::string name = name_of_socket(fd.get());
    return Listener(std::move(fd), false, std::move(name));
}

Listener::~Listener() {
    if (fd_ && local_) {
        ::unlink(name_.c_str());
    }
}

}  // namespace supervise::control
