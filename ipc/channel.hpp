#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <string_view>
#include <utility>

#include "base/unique_fd.hpp"
#include "supervise/error.hpp"

namespace supervise::ipc {

/// Two connected SOCK_SEQPACKET ends, non-blocking and close-on-exec.
Result<std::pair<UniqueFd, UniqueFd>> make_channel_pair();

/// One end of a SOCK_SEQPACKET connection: one frame a record, sent and received without blocking;
/// the coroutine waits only when the kernel has nothing or no room. Owned by whoever serves the
/// peer; never closes by itself.
class Channel {
  public:
    Channel(boost::asio::any_io_executor executor, UniqueFd socket);

    enum class SendStatus {
        sent,
        full,    ///< the peer does not read: wait_writable(), then again
        closed,  ///< the peer has gone
    };
    /// `descriptor` (or -1) travels by SCM_RIGHTS; it stays the caller's.
    SendStatus send(std::string_view frame, int descriptor = -1);

    struct Received {
        enum class Status { frame, none, closed } status = Status::none;
        std::string_view frame;  ///< in the channel's own buffer, until the next receive()
        bool truncated = false;  ///< the record was longer than a frame may be
        UniqueFd descriptor;     ///< what came along; more than one is closed at once
    };
    /// The next record, if there is one. An empty record counts as closed: on this kind of socket
    /// end of stream reads as one (unix(7)).
    Received receive();

    /// True when a peer that closed did so with frames of ours unread (ECONNRESET; Linux
    /// unix_release_sock). Known after receive() said closed.
    bool closed_with_unread() const { return reset_; }

    /// Both throw `operation_aborted` when cancelled.
    boost::asio::awaitable<void> wait_readable();
    boost::asio::awaitable<void> wait_writable();

    int native_handle() { return socket_.native_handle(); }
    void close();

  private:
    boost::asio::posix::stream_descriptor socket_;
    bool reset_ = false;
    alignas(8) char buffer_[1025];  ///< one more than a frame, to see a longer one
};

}  // namespace supervise::ipc
