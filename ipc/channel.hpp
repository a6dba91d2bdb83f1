#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <span>
#include <string_view>
#include <utility>

#include "base/unique_fd.hpp"
#include "supervise/error.hpp"

namespace supervise::ipc {

/// Two connected SOCK_SEQPACKET ends, non-blocking and close-on-exec.
Result<std::pair<UniqueFd, UniqueFd>> make_channel_pair();

/// One end of a SOCK_SEQPACKET connection: one frame a record, sent and received without blocking;
/// the coroutine waits only when the kernel has nothing or no room. Owned by whoever serves the
/// peer; an error never closes it, only close() and the destructor do.
class Channel {
  public:
    Channel(boost::asio::any_io_executor executor, UniqueFd socket);

    enum class SendStatus {
        sent,
        full,    ///< the peer does not read: wait_writable(), then again
        closed,  ///< the peer has gone; what it sent before may still be received
    };
    /// At most 8 `descriptors` travel by SCM_RIGHTS, in this order; they stay the caller's. A frame
    /// is not empty. The peer's own receive() takes one, see PROTOCOL.md for who takes more.
    SendStatus send(std::string_view frame, std::span<const int> descriptors);
    /// The same with one descriptor, or with none when it is negative.
    SendStatus send(std::string_view frame, int descriptor = -1) {
        return send(frame, std::span(&descriptor, descriptor < 0 ? 0 : 1));
    }

    struct Received {
        enum class Status { frame, none, closed } status = Status::none;
        std::string_view frame;  ///< in the channel's own buffer, until the next receive()
        /// The record was longer than a frame may be, or not exactly one of its descriptors could
        /// be taken. All of them are closed then, and the frame is a bad one.
        bool truncated = false;
        UniqueFd descriptor;  ///< what came along
    };
    /// Several records at once. Too large for a coroutine's frame.
    struct Batch {
        static constexpr std::size_t most = 16;
        std::size_t count = 0;  ///< of `frames`, in their order
        bool closed = false;    ///< the peer has gone; after the frames
        std::array<Received, most> frames;

      private:
        friend class Channel;
        alignas(8) char buffers_[most][1025];
    };
    /// What has come, by one recvmmsg(2).
    void receive(Batch& batch);
    /// The next record, if there is one. An empty record counts as closed: on this kind of socket
    /// end of stream reads as one (unix(7)).
    Received receive();

    /// True when a peer that closed did so with frames of ours unread (ECONNRESET; Linux
    /// unix_release_sock). Known after receive() said closed.
    bool closed_with_unread() const { return reset_; }

    /// Both throw `operation_aborted` when cancelled, and end at once when the peer has gone.
    boost::asio::awaitable<void> wait_readable();
    boost::asio::awaitable<void> wait_writable();

    int native_handle() { return socket_.native_handle(); }
    void close();

  private:
    boost::asio::posix::stream_descriptor socket_;
    bool reset_ = false;
    bool kernel_is_short_ = false;  ///< the last send() found no memory, not a full socket
    alignas(8) char buffer_[1025];  ///< one more than a frame, to see a longer one
};

/// Takes out of the socket `fd` all records that its owner has not read, and how many there were.
/// For the peer's end after its process died: its frames were sent, but never begun. Whoever wants
/// that keeps a duplicate of the end. Descriptors that came along are closed.
Result<std::size_t> drain_unread(int fd, const std::function<void(std::string_view frame)>& take);

}  // namespace supervise::ipc
