#include "ipc/listener.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/unix_socket.hpp"

namespace supervise::ipc {
namespace asio = boost::asio;

namespace {

constexpr int backlog = 4096;  // the kernel caps it at net.core.somaxconn
constexpr std::chrono::milliseconds shortage_pause{100};

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

UniqueFd make_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

/// Makes way at `address` if what is there is a socket that nobody serves any more.
Result<void> remove_stale(const sockaddr_un& address) {
    const std::string path = address.sun_path;
    struct stat found {};
    if (::lstat(path.c_str(), &found) < 0) {
        if (errno == ENOENT) {
            return {};
        }
        return errno_error("look at", path);
    }
    if (!S_ISSOCK(found.st_mode)) {
        return errno_error("listen at (there is a file that is not a socket; move it away)", path,
                           EEXIST);
    }
    const UniqueFd probe = make_socket();
    if (!probe) {
        return errno_error("make a socket for", path);
    }
    const auto* target = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(probe.get(), target, sizeof address) == 0 || errno != ECONNREFUSED) {
        return errno_error("listen at (another program serves this socket; stop it)", path,
                           EADDRINUSE);
    }
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) {
        return errno_error("remove the stale socket", path);
    }
    return {};
}

}  // namespace

Result<PeerCredentials> peer_credentials(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
        return errno_error("ask who the peer is");
    }
    return PeerCredentials{peer.pid, peer.uid, peer.gid};
}

Result<Listener> Listener::open(asio::any_io_executor executor, std::string path, mode_t mode,
                                Clock& clock) {
    const sockaddr_un address = address_of(path);
    if (path.size() >= sizeof address.sun_path) {
        return errno_error(
            "listen at (a socket's path has at most 107 bytes; choose a shorter "
            "runtime_dir)",
            path, ENAMETOOLONG);
    }
    if (const Result<void> cleared = remove_stale(address); !cleared) {
        return cleared.error();
    }
    UniqueFd socket = make_socket();
    if (!socket) {
        return errno_error("make a socket for", path);
    }
    if (const Result<void> listens = listen_at(socket.get(), path, mode, backlog); !listens) {
        return listens.error();
    }
    return Listener(std::move(executor), std::move(socket), std::move(path), clock);
}

Listener::Listener(asio::any_io_executor executor, UniqueFd socket, std::string path, Clock& clock)
    : socket_(std::move(executor)), path_(std::move(path)), clock_(&clock) {
    socket_.assign(socket.get());
    socket.release();
    struct stat own {};
    if (::lstat(path_.c_str(), &own) == 0) {
        device_ = own.st_dev;
        inode_ = own.st_ino;
    }
}

Listener::~Listener() {
    struct stat found {};
    if (socket_.is_open() && ::lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ &&
        found.st_ino == inode_) {
        ::unlink(path_.c_str());
    }
}

asio::awaitable<UniqueFd> Listener::accept() {
    for (;;) {
        // Waiting first, even if somebody is there: a flood of clients takes turns with the rest.
        co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        UniqueFd client(
            ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (client) {
            co_return client;
        }
        switch (errno) {
            case EAGAIN:
            case EINTR:
            case ECONNABORTED:
                break;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM:
                co_await clock_->sleep_for(shortage_pause);
                break;
            default:
                throw boost::system::system_error(errno, boost::system::system_category(),
                                                  "accept at " + path_);
        }
    }
}

}  // namespace supervise::ipc
