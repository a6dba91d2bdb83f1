#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <string>

#include "base/unique_fd.hpp"
#include "supervise/clock.hpp"
#include "supervise/error.hpp"

namespace supervise::ipc {

/// Who is at the other end of a Unix socket, as the kernel knew when it connected.
struct PeerCredentials {
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;
};
Result<PeerCredentials> peer_credentials(int fd);

/// A listening SOCK_SEQPACKET socket at a path. Owns the path too: a dead socket in its place is
/// removed when it opens, and its own when it goes, unless somebody has put another one there.
class Listener {
  public:
    /// `mode` is the socket file's, exactly, from its first moment. Fails when the path is too
    /// long, holds something that is not a socket, or a socket that is in use. `clock` outlives it.
    static Result<Listener> open(boost::asio::any_io_executor executor, std::string path,
                                 mode_t mode, Clock& clock = system_clock());
    Listener(Listener&&) = default;
    Listener& operator=(Listener&&) = delete;
    ~Listener();

    /// The next connection, non-blocking and close-on-exec. When descriptors or memory are short it
    /// tries again every 100 ms, and clients wait in the backlog. Throws `operation_aborted` when
    /// cancelled.
    boost::asio::awaitable<UniqueFd> accept();

    const std::string& path() const { return path_; }

  private:
    Listener(boost::asio::any_io_executor executor, UniqueFd socket, std::string path,
             Clock& clock);

    boost::asio::posix::stream_descriptor socket_;
    std::string path_;
    Clock* clock_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace supervise::ipc
