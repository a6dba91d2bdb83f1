#include "ipc/channel.hpp"

#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "ipc/limits.hpp"

namespace supervise::ipc {
namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds memory_pause{10};

/// Room for the control data of one record.
template <std::size_t descriptors>
struct ControlBuffer {
    alignas(cmsghdr) char bytes[CMSG_SPACE(descriptors * sizeof(int))];
};

[[noreturn]] void throw_errno(const char* what) {
    throw boost::system::system_error(errno, boost::system::system_category(), what);
}

struct Record {
    std::size_t size = 0;    ///< 0: end of stream
    bool truncated = false;  ///< longer than the buffer, or with more descriptors than one
    UniqueFd descriptor;
};

/// The descriptors of `message`: one is given back, more are closed.
UniqueFd take_descriptor(msghdr& message, bool& truncated) {
    UniqueFd only;
    std::size_t count = 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < here; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            only.reset(fd);
        }
        count += here;
    }
    // MSG_CTRUNC: there were more, or this process may not have one more open.
    if (count > 1 || (message.msg_flags & MSG_CTRUNC) != 0) {
        only.reset();
        truncated = true;
    }
    return only;
}

Record take_record(msghdr& message, std::size_t size) {
    Record record;
    record.size = size;
    record.truncated = (message.msg_flags & MSG_TRUNC) != 0;
    record.descriptor = take_descriptor(message, record.truncated);
    return record;
}

Channel::Received received_as(Record record, const char* buffer) {
    Channel::Received received;
    if (record.size == 0) {
        received.status = Channel::Received::Status::closed;
        return received;
    }
    received.status = Channel::Received::Status::frame;
    received.frame = {buffer, std::min(record.size, max_frame)};
    received.truncated = record.truncated || record.size > max_frame;
    if (!received.truncated) {
        received.descriptor = std::move(record.descriptor);
    }
    return received;
}

/// One recvmsg(2) that does not block; the system's error when there is no record.
boost::system::result<Record> receive_record(int fd, char* buffer, std::size_t size) {
    iovec data{buffer, size};
    ControlBuffer<2> control;  // two, to see that there was more than one
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    ssize_t got;
    do {
        got = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return boost::system::error_code(errno, boost::system::system_category());
    }
    return take_record(message, static_cast<std::size_t>(got));
}

bool is_would_block(const boost::system::error_code& error) {
    return error.value() == EAGAIN || error.value() == EWOULDBLOCK;
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> make_channel_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        return errno_error("make a socket pair");
    }
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Channel::Channel(asio::any_io_executor executor, UniqueFd socket) : socket_(std::move(executor)) {
    socket_.assign(socket.get());  // may throw: then `socket` still closes it
    socket.release();
}

Channel::SendStatus Channel::send(std::string_view frame, std::span<const int> descriptors) {
    if (frame.empty() || frame.size() > max_frame) {
        throw std::length_error("a frame does not have 1 to 1024 bytes");
    }
    if (descriptors.size() > max_descriptors) {
        throw std::length_error("a record has more than 8 descriptors");
    }
    if (!socket_.is_open()) {
        return SendStatus::closed;
    }
    iovec data{const_cast<char*>(frame.data()), frame.size()};  // sendmsg() only reads
    ControlBuffer<max_descriptors> control;
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (!descriptors.empty()) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* const part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
    }
    kernel_is_short_ = false;
    for (;;) {
        if (::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
            return SendStatus::sent;
        }
        switch (errno) {
            case EINTR:
                continue;
            case EAGAIN:
                return SendStatus::full;
            case ENOBUFS:
            case ENOMEM:
            case ETOOMANYREFS:  // too many descriptors of ours are under way
                kernel_is_short_ = true;
                return SendStatus::full;
            case ECONNRESET:  // reported once, to whoever comes first
                reset_ = true;
                return SendStatus::closed;
            case EPIPE:
            case ENOTCONN:
                return SendStatus::closed;
            default:  // EBADF of a descriptor, EMSGSIZE of a tiny buffer: a mistake of ours
                throw_errno("send a frame");
        }
    }
}

Channel::Received Channel::receive() {
    Received received;
    received.status = Received::Status::closed;
    if (!socket_.is_open()) {
        return received;
    }
    auto record = receive_record(socket_.native_handle(), buffer_, sizeof buffer_);
    if (!record && record.error().value() == ECONNRESET) {
        // The kernel tells this before the frames that the peer sent earlier, and only once.
        reset_ = true;
        record = receive_record(socket_.native_handle(), buffer_, sizeof buffer_);
    }
    if (!record) {
        if (is_would_block(record.error())) {
            received.status = Received::Status::none;
            return received;
        }
        throw boost::system::system_error(record.error(), "receive a frame");
    }
    return received_as(std::move(*record), buffer_);
}

void Channel::receive(Batch& batch) {
    for (Received& old : std::span(batch.frames).first(batch.count)) {
        old = {};  // a descriptor that nobody took is closed
    }
    batch.count = 0;
    batch.closed = !socket_.is_open();
    if (batch.closed) {
        return;
    }
    iovec data[Batch::most];
    ControlBuffer<2> control[Batch::most];
    mmsghdr messages[Batch::most] = {};
    for (std::size_t i = 0; i < Batch::most; ++i) {
        data[i] = {batch.buffers_[i], sizeof batch.buffers_[i]};
        messages[i].msg_hdr.msg_iov = &data[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = control[i].bytes;
        messages[i].msg_hdr.msg_controllen = sizeof control[i].bytes;
    }
    int got;
    do {
        got = ::recvmmsg(socket_.native_handle(), messages, Batch::most,
                         MSG_DONTWAIT | MSG_CMSG_CLOEXEC, nullptr);
        // The kernel tells a reset before the frames that the peer sent earlier, and only once.
        reset_ = reset_ || (got < 0 && errno == ECONNRESET);
    } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            throw_errno("receive frames");
        }
        return;
    }
    for (int i = 0; i < got; ++i) {  // those after an end too, or their descriptors would leak
        Received received =
            received_as(take_record(messages[i].msg_hdr, messages[i].msg_len), batch.buffers_[i]);
        batch.closed = batch.closed || received.status == Received::Status::closed;
        if (!batch.closed) {
            batch.frames[batch.count++] = std::move(received);
        }
    }
}

asio::awaitable<void> Channel::wait_readable() {
    co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
}

asio::awaitable<void> Channel::wait_writable() {
    if (kernel_is_short_) {
        // The socket itself has room, so waiting for it would spin until the shortage ends.
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor, memory_pause);
        co_await timer.async_wait(asio::use_awaitable);
        co_return;
    }
    co_await socket_.async_wait(asio::posix::stream_descriptor::wait_write, asio::use_awaitable);
}

void Channel::close() {
    boost::system::error_code ignored;  // the descriptor is gone whatever close(2) says
    socket_.close(ignored);
}

Result<std::size_t> drain_unread(int fd, const std::function<void(std::string_view frame)>& take) {
    char buffer[max_frame + 1];
    std::size_t count = 0;
    for (;;) {
        const auto record = receive_record(fd, buffer, sizeof buffer);
        if (record) {
            if (record->size == 0) {
                return count;
            }
            ++count;
            take({buffer, std::min(record->size, max_frame)});
        } else if (is_would_block(record.error())) {
            return count;
        } else if (record.error().value() != ECONNRESET) {
            return Error{record.error(), "read what a peer left unread", {}};
        }
    }
}

}  // namespace supervise::ipc
