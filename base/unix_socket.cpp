#include "unix_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>

namespace supervise {

namespace {

/// In the same folder and not longer: a path has few bytes.
std::string temporary_name(std::string path) {
    path.back() = path.back() == '~' ? '-' : '~';
    return path;
}

Result<void> bind_and_listen(int socket, const std::string& path, mode_t mode, int backlog) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    // bind() gives the file the socket's own mode less the umask; the chmod() then gives back what
    // the umask took.
    if (::fchmod(socket, mode) != 0) {
        return errno_error("set the mode of", path);
    }
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return errno_error("bind a socket to", path);
    }
    if (::chmod(path.c_str(), mode) != 0) {
        return errno_error("set the mode of", path);
    }
    if (::listen(socket, backlog) != 0) {
        return errno_error("listen at", path);
    }
    return {};
}

}  // namespace

Result<void> listen_at(int socket, const std::string& path, mode_t mode, int backlog) {
    if (path.empty() || path.size() >= sizeof sockaddr_un::sun_path) {
        return errno_error("listen at", path, path.empty() ? EINVAL : ENAMETOOLONG);
    }
    const std::string temporary = temporary_name(path);
    if (struct stat left{}; ::lstat(temporary.c_str(), &left) == 0 && S_ISSOCK(left.st_mode)) {
        ::unlink(temporary.c_str());  // by somebody who died right here
    }
    Result<void> done = bind_and_listen(socket, temporary, mode, backlog);
    if (done && ::rename(temporary.c_str(), path.c_str()) != 0) {
        done = errno_error("listen at", path);
    }
    if (!done && done.error().code.value() != EADDRINUSE) {  // that is somebody else's file
        ::unlink(temporary.c_str());
        return Error{done.error().code, done.error().step, path};
    }
    return done;
}

}  // namespace supervise
