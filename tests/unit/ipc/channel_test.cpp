#include "ipc/channel.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <chrono>
#include <span>
#include <stdexcept>
#include <vector>

#include "ipc/limits.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/loop.hpp"
#include "tests/unit/ipc/channel_fixture.hpp"

using namespace supervise;
using namespace supervise::ipc;
using namespace supervise::test;
namespace asio = boost::asio;
using Status = Channel::Received::Status;
using SendStatus = Channel::SendStatus;
using Fixture = ChannelFixture;

namespace {

/// Sends numbered frames until there is no room; how many there were.
int fill(Channel& channel) {
    int sent = 0;
    while (channel.send(std::to_string(sent)) == SendStatus::sent) {
        ++sent;
    }
    return sent;
}

asio::awaitable<void> receive_one(Channel& channel, std::string& frame) {
    co_await channel.wait_readable();
    Channel::Received received = channel.receive();
    frame = received.frame;
}

}  // namespace

TEST_CASE("a channel's sockets are record sockets, non-blocking and close-on-exec", "[channel]") {
    const auto pair = make_channel_pair().value();
    for (const UniqueFd* end : {&pair.first, &pair.second}) {
        CHECK((::fcntl(end->get(), F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((::fcntl(end->get(), F_GETFL) & O_NONBLOCK) != 0);
        int type = 0;
        socklen_t size = sizeof type;
        REQUIRE(::getsockopt(end->get(), SOL_SOCKET, SO_TYPE, &type, &size) == 0);
        CHECK(type == SOCK_SEQPACKET);
    }
}

TEST_CASE_METHOD(Fixture, "each frame arrives as one record, in order", "[channel]") {
    CHECK(channel->receive().status == Status::none);
    CHECK(channel->send("one") == SendStatus::sent);
    CHECK(channel->send(std::string(max_frame, 'x')) == SendStatus::sent);
    CHECK(peer_reads() == "one");
    CHECK(peer_reads() == std::string(max_frame, 'x'));
    CHECK(peer_reads() == "nothing");

    peer_sends("two");
    peer_sends("three");
    Channel::Received received = channel->receive();
    CHECK(received.status == Status::frame);
    CHECK(received.frame == "two");
    CHECK_FALSE(received.truncated);
    CHECK_FALSE(received.descriptor);
    received = channel->receive();
    CHECK(received.frame == "three");
    CHECK(channel->receive().status == Status::none);
}

TEST_CASE_METHOD(Fixture, "an empty or too long frame is not sent", "[channel]") {
    CHECK_THROWS_AS(channel->send(""), std::length_error);
    CHECK_THROWS_AS(channel->send(std::string(max_frame + 1, 'x')), std::length_error);
}

TEST_CASE_METHOD(Fixture, "a peer that closes is seen after its last frame, and for ever",
                 "[channel]") {
    peer_sends("last");
    peer.reset();
    CHECK(channel->receive().frame == "last");
    CHECK(channel->receive().status == Status::closed);
    CHECK(channel->receive().status == Status::closed);
    CHECK_FALSE(channel->closed_with_unread());
    CHECK(channel->send("x") == SendStatus::closed);
}

TEST_CASE_METHOD(Fixture, "an empty record counts as the peer's end", "[channel]") {
    CHECK(peer_sends("") == 0);
    CHECK(channel->receive().status == Status::closed);
}

TEST_CASE_METHOD(Fixture, "a peer that closes with frames unread loses none of its own",
                 "[channel]") {
    CHECK(channel->send("unread") == SendStatus::sent);
    peer_sends("first");
    peer_sends("second");
    peer.reset();
    CHECK(channel->receive().frame == "first");
    CHECK(channel->receive().frame == "second");
    CHECK(channel->receive().status == Status::closed);
    CHECK(channel->closed_with_unread());
}

TEST_CASE_METHOD(Fixture, "a reset that a send sees first is known all the same", "[channel]") {
    CHECK(channel->send("unread") == SendStatus::sent);
    peer_sends("first");
    peer.reset();
    CHECK(channel->send("x") == SendStatus::closed);
    CHECK(channel->receive().frame == "first");
    CHECK(channel->receive().status == Status::closed);
    CHECK(channel->closed_with_unread());
}

TEST_CASE_METHOD(Fixture, "a record longer than a frame is marked, and the next one is whole",
                 "[channel]") {
    peer_sends(std::string(max_frame, 'a'));
    peer_sends(std::string(max_frame + 1, 'b'));
    peer_sends(std::string(100'000, 'c'));
    peer_sends("after");
    CHECK_FALSE(channel->receive().truncated);
    for (const char letter : {'b', 'c'}) {
        const Channel::Received received = channel->receive();
        CHECK(received.status == Status::frame);
        CHECK(received.truncated);
        CHECK(received.frame == std::string(max_frame, letter));
    }
    const Channel::Received received = channel->receive();
    CHECK_FALSE(received.truncated);
    CHECK(received.frame == "after");
}

TEST_CASE_METHOD(Fixture, "one descriptor comes along and is close-on-exec", "[channel]") {
    auto [near, far] = make_channel_pair().value();
    Channel sender(io.get_executor(), std::move(near));
    Channel receiver(io.get_executor(), std::move(far));
    const UniqueFd file = some_file();
    CHECK(sender.send("with", file.get()) == SendStatus::sent);
    CHECK(sender.send("without") == SendStatus::sent);
    Channel::Received received = receiver.receive();
    CHECK(received.frame == "with");
    CHECK_FALSE(received.truncated);
    REQUIRE(received.descriptor);
    CHECK(received.descriptor.get() != file.get());
    CHECK(inode(received.descriptor.get()) == inode(file.get()));
    CHECK((::fcntl(received.descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0);
    received = receiver.receive();
    CHECK(received.frame == "without");
    CHECK_FALSE(received.descriptor);
}

TEST_CASE_METHOD(Fixture, "up to eight descriptors go with a frame, in order", "[channel]") {
    for (const std::size_t count : {1, 4, 8}) {
        std::vector<UniqueFd> files;
        std::vector<int> fds;
        for (std::size_t i = 0; i < count; ++i) {
            files.emplace_back(::memfd_create("sent", MFD_CLOEXEC));
            fds.push_back(files.back().get());
        }
        REQUIRE(channel->send("with", fds) == SendStatus::sent);
        const std::vector<UniqueFd> received = peer_takes_descriptors();
        REQUIRE(received.size() == count);
        for (std::size_t i = 0; i < count; ++i) {
            CHECK(inode(received[i].get()) == inode(fds[i]));
        }
    }
    CHECK(channel->send("without", std::span<const int>()) == SendStatus::sent);
    CHECK(peer_takes_descriptors().empty());
}

TEST_CASE_METHOD(Fixture, "nine descriptors are the sender's mistake", "[channel]") {
    const UniqueFd file = some_file();
    const std::vector<int> fds(9, file.get());
    CHECK_THROWS_AS(channel->send("with", fds), std::length_error);
    CHECK(peer_reads() == "nothing");
}

TEST_CASE_METHOD(Fixture, "more than one descriptor is none, and leaks none", "[channel]") {
    const UniqueFd file = some_file();
    const int before = open_descriptors();
    for (const std::size_t count : {2, 3, 16}) {
        send_with_descriptors(peer.get(), std::vector<int>(count, file.get()));
        const Channel::Received received = channel->receive();
        CHECK(received.status == Status::frame);
        CHECK(received.truncated);
        CHECK_FALSE(received.descriptor);
        CHECK(open_descriptors() == before);
    }
    send_with_descriptors(peer.get(), {file.get()});
    CHECK(channel->receive().descriptor);
}

TEST_CASE_METHOD(Fixture, "a descriptor of a record that is too long is closed", "[channel]") {
    const UniqueFd file = some_file();
    const int before = open_descriptors();
    send_with_descriptors(peer.get(), {file.get()}, std::string(max_frame + 1, 'x'));
    const Channel::Received received = channel->receive();
    CHECK(received.truncated);
    CHECK_FALSE(received.descriptor);
    CHECK(open_descriptors() == before);
}

TEST_CASE_METHOD(Fixture, "a descriptor that this process has no room for marks its frame",
                 "[channel]") {
    const UniqueFd file = some_file();
    send_with_descriptors(peer.get(), {file.get()});
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    const rlimit none{static_cast<rlim_t>(UniqueFd(::dup(file.get())).get()), old.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    const Channel::Received received = channel->receive();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK(received.status == Status::frame);
    CHECK(received.truncated);
    CHECK_FALSE(received.descriptor);
}

TEST_CASE_METHOD(Fixture, "a bad descriptor is the sender's mistake", "[channel]") {
    CHECK_THROWS_AS(channel->send("x", 1'000'000), boost::system::system_error);
    CHECK(channel->send("x") == SendStatus::sent);
}

TEST_CASE_METHOD(Fixture, "a full socket says so, and loses nothing once there is room",
                 "[channel]") {
    const int sent = fill(*channel);
    REQUIRE(sent > 10);
    CHECK(channel->send("x") == SendStatus::full);
    bool writable = false;
    asio::co_spawn(io, channel->wait_writable(), [&](std::exception_ptr) { writable = true; });
    run_ready(io);
    CHECK_FALSE(writable);
    for (int i = 0; i < sent; ++i) {
        REQUIRE(peer_reads() == std::to_string(i));
    }
    run_ready(io);
    CHECK(writable);
    CHECK(channel->send("more") == SendStatus::sent);
    CHECK(peer_reads() == "more");
}

namespace {

/// Few descriptors may be open or under way, and root's right to more is laid down meanwhile.
class FewDescriptors {
  public:
    explicit FewDescriptors(rlim_t most) {
        ::getrlimit(RLIMIT_NOFILE, &limit_);
        ::syscall(SYS_capget, &header_, rights_);
        __user_cap_data_struct less[2] = {rights_[0], rights_[1]};
        less[0].effective = 0;
        less[1].effective = 0;
        const rlimit few{most, limit_.rlim_max};
        set = ::setrlimit(RLIMIT_NOFILE, &few) == 0 && ::syscall(SYS_capset, &header_, less) == 0;
    }
    ~FewDescriptors() {
        ::syscall(SYS_capset, &header_, rights_);
        ::setrlimit(RLIMIT_NOFILE, &limit_);
    }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;
    bool set = false;

  private:
    rlimit limit_{};
    __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct rights_[2] = {};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "too many descriptors under way are waited for without spinning",
                 "[channel]") {
    const UniqueFd file = some_file();
    const FewDescriptors few(40);
    REQUIRE(few.set);
    int sent = 0;
    while (sent < 100 && channel->send("with", file.get()) == SendStatus::sent) {
        ++sent;
    }
    REQUIRE(sent > 0);
    REQUIRE(sent < 100);
    CHECK(channel->send("without") == SendStatus::sent);  // the socket itself is not full
    CHECK(channel->send("with", file.get()) == SendStatus::full);
    const auto before = std::chrono::steady_clock::now();
    run(io, channel->wait_writable());
    CHECK(std::chrono::steady_clock::now() - before >= std::chrono::milliseconds(10));

    for (int i = 0; i < sent; ++i) {
        REQUIRE(peer_reads() == "with");
    }
    CHECK(channel->send("with", file.get()) == SendStatus::sent);
}

TEST_CASE_METHOD(Fixture, "waiting ends when a frame is there", "[channel]") {
    std::string frame;
    bool ended = false;
    asio::co_spawn(io, receive_one(*channel, frame), [&](std::exception_ptr) { ended = true; });
    run_ready(io);
    CHECK_FALSE(ended);
    peer_sends("hello");
    run_ready(io);
    CHECK(ended);
    CHECK(frame == "hello");

    // One that was there before the wait began is not missed.
    peer_sends("again");
    run(io, receive_one(*channel, frame));
    CHECK(frame == "again");
}

TEST_CASE_METHOD(Fixture, "waiting ends when the peer goes", "[channel]") {
    int ended = 0;
    fill(*channel);
    const auto count = [&](std::exception_ptr error) { ended += error ? 100 : 1; };
    asio::co_spawn(io, channel->wait_readable(), count);
    asio::co_spawn(io, channel->wait_writable(), count);
    run_ready(io);
    CHECK(ended == 0);
    peer.reset();
    run_ready(io);
    CHECK(ended == 2);
    CHECK(channel->receive().status == Status::closed);
}

TEST_CASE_METHOD(Fixture, "a cancelled wait throws, and the channel goes on", "[channel]") {
    fill(*channel);
    int aborted = 0;
    const auto count = [&](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const boost::system::system_error& failure) {
            aborted += failure.code() == asio::error::operation_aborted ? 1 : 0;
        }
    };
    asio::cancellation_signal reading;
    asio::cancellation_signal writing;
    asio::co_spawn(io, channel->wait_readable(), bind_cancellation_slot(reading.slot(), count));
    asio::co_spawn(io, channel->wait_writable(), bind_cancellation_slot(writing.slot(), count));
    run_ready(io);
    reading.emit(asio::cancellation_type::terminal);
    run_ready(io);
    CHECK(aborted == 1);
    writing.emit(asio::cancellation_type::terminal);
    run_ready(io);
    CHECK(aborted == 2);

    std::string frame;
    peer_sends("still");
    run(io, receive_one(*channel, frame));
    CHECK(frame == "still");
}

TEST_CASE_METHOD(Fixture, "a closed channel says closed and ends its waits", "[channel]") {
    bool failed = false;
    asio::co_spawn(io, channel->wait_readable(),
                   [&](std::exception_ptr error) { failed = error != nullptr; });
    run_ready(io);
    channel->close();
    run_ready(io);
    CHECK(failed);
    CHECK(channel->send("x") == SendStatus::closed);
    CHECK(channel->receive().status == Status::closed);
    CHECK(peer_reads().empty());
    channel->close();
}

TEST_CASE_METHOD(Fixture, "what a dead peer left unread is drained through a kept end",
                 "[channel]") {
    const UniqueFd kept(::dup(peer.get()));
    const UniqueFd file = some_file();
    CHECK(channel->send("begun") == SendStatus::sent);
    CHECK(channel->send("one") == SendStatus::sent);
    CHECK(channel->send("two", file.get()) == SendStatus::sent);
    CHECK(peer_reads() == "begun");
    peer.reset();
    const int before = open_descriptors();

    std::vector<std::string> left;
    const auto take = [&](std::string_view frame) { left.emplace_back(frame); };
    CHECK(drain_unread(kept.get(), take).value() == 2);
    CHECK(left == std::vector<std::string>{"one", "two"});
    CHECK(open_descriptors() == before);
    CHECK(drain_unread(kept.get(), take).value() == 0);

    CHECK(channel->send("late") == SendStatus::sent);
    channel->close();
    CHECK(drain_unread(kept.get(), take).value() == 1);
    CHECK(left.back() == "late");
    CHECK_FALSE(drain_unread(-1, take).has_value());
}
