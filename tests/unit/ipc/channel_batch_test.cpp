#include <sys/mman.h>
#include <unistd.h>

#include "ipc/channel.hpp"
#include "ipc/limits.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/ipc/channel_fixture.hpp"

using namespace supervise;
using namespace supervise::ipc;
using namespace supervise::test;

namespace {

constexpr std::size_t most = Channel::Batch::most;

struct BatchFixture : ChannelFixture {
    void peer_sends_numbers(std::size_t count) const {
        for (std::size_t i = 0; i < count; ++i) {
            REQUIRE(peer_sends(std::to_string(i)) > 0);
        }
    }
    /// What one receive() gives, as texts.
    std::vector<std::string> take() {
        channel->receive(batch);
        std::vector<std::string> frames;
        for (std::size_t i = 0; i < batch.count; ++i) {
            CHECK(batch.frames[i].status == Channel::Received::Status::frame);
            frames.emplace_back(batch.frames[i].frame);
        }
        return frames;
    }

    Channel::Batch batch;
};

std::vector<std::string> numbers(std::size_t first, std::size_t end) {
    std::vector<std::string> texts;
    for (std::size_t i = first; i < end; ++i) {
        texts.push_back(std::to_string(i));
    }
    return texts;
}

}  // namespace

TEST_CASE_METHOD(BatchFixture, "a batch holds what has come, in order", "[channel][batch]") {
    CHECK(take().empty());
    CHECK_FALSE(batch.closed);
    peer_sends_numbers(3);
    CHECK(take() == numbers(0, 3));
    CHECK_FALSE(batch.closed);
    for (const Channel::Received& received : batch.frames) {
        CHECK_FALSE(received.truncated);
        CHECK_FALSE(received.descriptor);
    }
    CHECK(take().empty());
}

TEST_CASE_METHOD(BatchFixture, "what a batch has no room for comes with the next one",
                 "[channel][batch]") {
    peer_sends_numbers(2 * most + 3);
    CHECK(take() == numbers(0, most));
    CHECK(take() == numbers(most, 2 * most));
    CHECK(take() == numbers(2 * most, 2 * most + 3));

    peer_sends_numbers(most);
    CHECK(take() == numbers(0, most));
    CHECK(take().empty());
    CHECK_FALSE(batch.closed);
}

TEST_CASE_METHOD(BatchFixture, "each descriptor stays with its frame", "[channel][batch]") {
    const UniqueFd first(::memfd_create("first", MFD_CLOEXEC));
    const UniqueFd second(::memfd_create("second", MFD_CLOEXEC));
    peer_sends("bare");
    send_with_descriptors(peer.get(), {first.get()}, "first");
    peer_sends("bare too");
    send_with_descriptors(peer.get(), {second.get()}, "second");
    CHECK(take() == std::vector<std::string>{"bare", "first", "bare too", "second"});
    CHECK_FALSE(batch.frames[0].descriptor);
    CHECK_FALSE(batch.frames[2].descriptor);
    REQUIRE(batch.frames[1].descriptor);
    REQUIRE(batch.frames[3].descriptor);
    CHECK(inode(batch.frames[1].descriptor.get()) == inode(first.get()));
    CHECK(inode(batch.frames[3].descriptor.get()) == inode(second.get()));
    CHECK((::fcntl(batch.frames[1].descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE_METHOD(BatchFixture, "a full batch has room for a descriptor of every frame",
                 "[channel][batch]") {
    std::vector<UniqueFd> files;
    for (std::size_t i = 0; i < most; ++i) {
        files.emplace_back(::memfd_create("sent", MFD_CLOEXEC));
        send_with_descriptors(peer.get(), {files.back().get()});
    }
    take();
    REQUIRE(batch.count == most);
    for (std::size_t i = 0; i < most; ++i) {
        REQUIRE(batch.frames[i].descriptor);
        CHECK(inode(batch.frames[i].descriptor.get()) == inode(files[i].get()));
    }
}

TEST_CASE_METHOD(BatchFixture, "a descriptor that nobody took goes with the next batch",
                 "[channel][batch]") {
    const UniqueFd file = some_file();
    const int before = open_descriptors();
    send_with_descriptors(peer.get(), {file.get()});
    send_with_descriptors(peer.get(), {file.get()});
    take();
    CHECK(open_descriptors() == before + 2);
    const UniqueFd taken = std::move(batch.frames[0].descriptor);
    take();
    CHECK(batch.count == 0);
    CHECK(open_descriptors() == before + 1);
    CHECK(inode(taken.get()) == inode(file.get()));
}

TEST_CASE_METHOD(BatchFixture, "bad records of a batch are marked, and those around them whole",
                 "[channel][batch]") {
    const UniqueFd file = some_file();
    const int before = open_descriptors();
    peer_sends(std::string(max_frame, 'a'));
    peer_sends(std::string(max_frame + 1, 'b'));
    peer_sends(std::string(100'000, 'c'));
    for (const std::size_t count : {2, 3, 16}) {
        send_with_descriptors(peer.get(), std::vector<int>(count, file.get()));
    }
    send_with_descriptors(peer.get(), {file.get()}, std::string(max_frame + 1, 'd'));
    send_with_descriptors(peer.get(), {file.get()}, "last");
    CHECK(take() == std::vector<std::string>{std::string(max_frame, 'a'),
                                             std::string(max_frame, 'b'),
                                             std::string(max_frame, 'c'), "x", "x", "x",
                                             std::string(max_frame, 'd'), "last"});
    CHECK_FALSE(batch.frames[0].truncated);
    for (std::size_t i = 1; i < 7; ++i) {
        INFO("frame " << i);
        CHECK(batch.frames[i].truncated);
        CHECK_FALSE(batch.frames[i].descriptor);
    }
    CHECK_FALSE(batch.frames[7].truncated);
    CHECK(batch.frames[7].descriptor);
    CHECK(open_descriptors() == before + 1);

    peer_sends("after");
    CHECK(take() == std::vector<std::string>{"after"});
    CHECK_FALSE(batch.frames[0].truncated);
}

TEST_CASE_METHOD(BatchFixture, "the peer's end is told with its last frames, and for ever",
                 "[channel][batch]") {
    peer_sends_numbers(2);
    peer.reset();
    CHECK(take() == numbers(0, 2));
    CHECK(batch.closed);
    CHECK_FALSE(channel->closed_with_unread());
    CHECK(take().empty());
    CHECK(batch.closed);
}

TEST_CASE_METHOD(BatchFixture, "the peer's end comes after all its frames, however many",
                 "[channel][batch]") {
    peer_sends_numbers(most);
    peer.reset();
    CHECK(take() == numbers(0, most));
    CHECK_FALSE(batch.closed);
    CHECK(take().empty());
    CHECK(batch.closed);
}

TEST_CASE_METHOD(BatchFixture, "a reset is told before the peer's frames, and costs none",
                 "[channel][batch]") {
    CHECK(channel->send("unread") == Channel::SendStatus::sent);
    peer_sends_numbers(2);
    peer.reset();
    CHECK(take() == numbers(0, 2));
    CHECK(batch.closed);
    CHECK(channel->closed_with_unread());
}

TEST_CASE_METHOD(BatchFixture, "a reset with more frames than a batch costs none either",
                 "[channel][batch]") {
    CHECK(channel->send("unread") == Channel::SendStatus::sent);
    peer_sends_numbers(most + 1);
    peer.reset();
    CHECK(take() == numbers(0, most));
    CHECK_FALSE(batch.closed);
    CHECK(take() == numbers(most, most + 1));
    CHECK(batch.closed);
    CHECK(channel->closed_with_unread());
}

TEST_CASE_METHOD(BatchFixture, "what follows an empty record is no frame, and leaks nothing",
                 "[channel][batch]") {
    const UniqueFd file = some_file();
    const int before = open_descriptors();
    peer_sends("last");
    CHECK(peer_sends("") == 0);
    for (int i = 0; i < 5; ++i) {
        send_with_descriptors(peer.get(), {file.get()});
    }
    CHECK(take() == std::vector<std::string>{"last"});
    CHECK(batch.closed);
    CHECK(open_descriptors() == before);
}

TEST_CASE_METHOD(BatchFixture, "a closed channel has no frames", "[channel][batch]") {
    peer_sends_numbers(2);
    take();
    channel->close();
    CHECK(take().empty());
    CHECK(batch.closed);
}

TEST_CASE_METHOD(BatchFixture, "single frames and batches take turns", "[channel][batch]") {
    peer_sends_numbers(2);
    CHECK(channel->receive().frame == "0");
    CHECK(take() == numbers(1, 2));
    peer_sends("single");
    CHECK(channel->receive().frame == "single");
    CHECK(batch.frames[0].frame == "1");  // a batch has buffers of its own
}
