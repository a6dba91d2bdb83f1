#include "ipc/message.hpp"

#include <cstdlib>
#include <new>
#include <stdexcept>

#include "ipc/utf8.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::ipc;

namespace {
std::size_t allocations = 0;
}

// The whole test program allocates through these, so that a test can see that it does not.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(size);
}
void* operator new(std::size_t size) {
    if (void* const block = ::operator new(size, std::nothrow)) {
        return block;
    }
    throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { std::free(block); }

namespace {

Message decoded(std::string_view frame) {
    auto result = decode(frame);
    if (const auto* error = std::get_if<DecodeError>(&result)) {
        throw std::runtime_error(error->message);
    }
    return std::get<Message>(std::move(result));
}

std::string error_of(std::string_view frame) {
    return std::get<DecodeError>(decode(frame)).message;
}

const std::string no_args(1, '\0');

}  // namespace

TEST_CASE("the frames of the hot path cost no allocation", "[message]") {
    const std::string args = encode_args({std::int64_t{42}, std::string("key")}).value();
    const std::string report = encode_report(Failure{"ValueError", "no", "line 1"});
    const Message messages[] = {Job{7, 1, 0, 0, "reports.tasks.build", args},
                                Done{7, report},
                                Accepted{1, 2, 3},
                                Trimmed{5},
                                Ready{},
                                Ping{6},
                                Refused{1, 1, Refusal::queue_full, "full"},
                                Trim{},
                                Retire{},
                                Fork{1, true, 1},
                                Forked{1, 4711, ""},
                                Call{1, 0, {}, {}, "reports.tasks.build", "key"},
                                Begun{7, 4711, 1},
                                Soft{7},
                                Signal{7, 15},
                                Size{4}};
    std::size_t sizes = 0;
    const std::size_t before = allocations;
    for (const Message& message : messages) {
        const Frame frame = encode(message);
        const auto back = decode(frame.bytes());
        sizes += std::holds_alternative<Message>(back) ? 1 : 0;
    }
    const std::size_t after = allocations;
    CHECK(sizes == std::size(messages));
    CHECK(after == before);
}

TEST_CASE("a message for people is cut to what its frame has room for", "[message]") {
    const std::string text(2000, 'm');
    for (const Message& message :
         {Message(StartFailed{"ImportError", text}),
          Message(Refused{1, 1, Refusal::unknown_task, text}),
          Message(Close{Refusal::bad_frame, text}), Message(Forked{1, 0, text})}) {
        const Frame frame = encode(message);
        CHECK(frame.bytes().size() == max_frame);
        decoded(frame.bytes());
    }
    std::string wide = "a";
    while (wide.size() < 2000) {
        wide += "🔑";
    }
    const Frame frame = encode(Close{Refusal::bad_frame, wide});
    const Message back = decoded(frame.bytes());
    const std::string_view kept = std::get<Close>(back).message;
    CHECK(kept == std::string_view(wide).substr(0, kept.size()));
    CHECK(kept.size() > 1000);
}

TEST_CASE("a message for people that is no text still makes a valid frame", "[message]") {
    const Frame frame = encode(Close{Refusal::bad_frame, std::string_view("a\0\xff \xc3\xa9", 6)});
    const Message back = decoded(frame.bytes());
    CHECK(std::get<Close>(back).message == "a?? é");
}

TEST_CASE("what does not fit a frame is not encoded", "[message]") {
    const std::string long_name(256, 'n');
    const std::string args(max_args, '\0');
    CHECK_THROWS_AS(encode(Hello{1, 1, Role::client, 1, long_name}), std::length_error);
    CHECK_THROWS_AS(encode(Register{}), std::length_error);
    CHECK_THROWS_AS(encode(Register{{TaskInfo{"t", {}, {}, std::uint8_t{101}}}}),
                    std::length_error);
    CHECK_THROWS_AS(encode(Register{{TaskInfo{"t", 0xffffffff, {}, {}}}}), std::length_error);
    CHECK_THROWS_AS(encode(Register{std::vector<TaskInfo>(100, TaskInfo{"name", {}, {}, {}})}),
                    std::length_error);
    CHECK_THROWS_AS(encode(Job{7, 0, 0, 0, "t", no_args}), std::length_error);
    CHECK_THROWS_AS(encode(Job{7, 1, 0, 0, "t", ""}), std::length_error);
    CHECK_THROWS_AS(encode(Job{7, 1, 0, 0, "t", args + "x"}), std::length_error);
    CHECK_THROWS_AS(encode(Job{7, 1, 0, 0, std::string(30, 't'), args}), std::length_error);
    CHECK_THROWS_AS(encode(Done{7, ""}), std::length_error);
    CHECK_THROWS_AS(encode(Done{7, std::string(max_report + 1, 'x')}), std::length_error);
    CHECK_THROWS_AS(encode(Submit{0, 0, "t", {}}), std::length_error);
    CHECK_THROWS_AS(encode(Submit{0, 10, "t", {no_args}}), std::length_error);
    CHECK_THROWS_AS(encode(Submit{0, 0, std::string(30, 't'), {args}}), std::length_error);
    CHECK_THROWS_AS(encode(Accepted{0, 0, 1}), std::length_error);
    CHECK_THROWS_AS(encode(Refused{0, 0, Refusal::stopping, ""}), std::length_error);
    CHECK_THROWS_AS(encode(ResultBatch{}), std::length_error);
    CHECK_THROWS_AS(encode(ResultBatch{{ResultEntry{7, JobState::running, 1, "\1\0"}}}),
                    std::length_error);
    const ResultEntry entry{7, JobState::done, 1, std::string_view("\1\0", 2)};
    CHECK_THROWS_AS(encode(ResultBatch{{entry, entry}, true}), std::length_error);
    CHECK_THROWS_AS(encode(Cancel{false, {}}), std::length_error);
    CHECK_THROWS_AS(encode(Cancel{false, std::vector<std::uint64_t>(128, 1)}), std::length_error);
    CHECK_THROWS_AS(encode(Fork{1, true, 3}), std::length_error);
    CHECK_THROWS_AS(encode(Call{1, 10, {}, {}, "t", "key"}), std::length_error);
    CHECK_THROWS_AS(encode(Call{1, 0, 0xffffffff, {}, "t", "key"}), std::length_error);
    CHECK_THROWS_AS(encode(Call{1, 0, {}, 0xffffffff, "t", "key"}), std::length_error);
    CHECK_THROWS_AS(encode(Call{1, 0, {}, {}, long_name, "key"}), std::length_error);
    CHECK_THROWS_AS(encode(Call{1, 0, {}, {}, "t", long_name}), std::length_error);
    CHECK_THROWS_AS(encode(Signal{7, 0}), std::length_error);
    CHECK_THROWS_AS(encode(Signal{7, 65}), std::length_error);
    CHECK_THROWS_AS(encode(JobBatch{"t", {}}), std::length_error);
    CHECK_THROWS_AS(encode(JobBatch{"t", {{7, 0, no_args}}}), std::length_error);
    CHECK_THROWS_AS(encode(JobBatch{"t", {{7, 1, ""}}}), std::length_error);
    CHECK_THROWS_AS(encode(JobBatch{std::string(30, 't'), {{7, 1, args}}}), std::length_error);
    const std::vector<JobBatch::Entry> too_many(93, {7, 1, no_args});
    CHECK_THROWS_AS(encode(JobBatch{"t", too_many}), std::length_error);
    CHECK_THROWS_AS(encode(Unsafe{}), std::length_error);
    CHECK_THROWS_AS(encode(Unsafe{{std::string(1015, 'f')}}), std::length_error);
    CHECK_THROWS_AS(encode(Unsafe{{std::string(0x10000, 'f')}}), std::length_error);
}

TEST_CASE("whatever call a submit may carry, its job's frame has room for", "[message]") {
    for (std::size_t name = 0; name <= max_text; ++name) {
        std::vector<Id> ids;
        std::size_t size = 2 + name;  // the name's length, the name, the arguments' count
        while (size + 2 <= max_call && ids.size() < 100) {
            const std::size_t text = std::min(max_text, max_call - size - 2);
            ids.emplace_back(std::string(text, 'x'));
            size += 2 + text;
        }
        const auto args = encode_args(ids);
        if (args) {
            const std::string task(name, 't');
            const Frame submit = encode(Submit{0, 0, task, {*args}});
            const Frame job = encode(Job{1, 1, 0, 0, task, *args});
            CHECK(submit.bytes().size() < job.bytes().size());
        }
    }
}

TEST_CASE("results are packed as long as the next fits, and the frame then holds them all",
          "[message]") {
    const std::string report = encode_report(Value{encode_id(std::int64_t{1})});
    ResultBatch batch;
    std::size_t used = header_size;
    while (add_result_size(used, report.size())) {
        batch.entries.push_back({batch.entries.size(), JobState::done, 1, report});
    }
    const Frame frame = encode(batch);
    CHECK(frame.bytes().size() == used);
    CHECK(used + 11 + report.size() > max_frame);
    CHECK(std::get<ResultBatch>(decoded(frame.bytes())).entries.size() == batch.entries.size());

    used = header_size;
    CHECK(add_result_size(used, max_report));
    CHECK_FALSE(add_result_size(used, 2));
    CHECK(used == header_size + 11 + max_report);
}

TEST_CASE("a frame says whether a descriptor comes with it", "[message]") {
    CHECK(has_descriptor(Job{7, 1, 0, 0, "t", no_args, true}));
    CHECK(has_descriptor(Done{7, "\1\0", true}));
    CHECK(has_descriptor(ResultBatch{{{7, JobState::done, 1, "\1\0"}}, true}));
    CHECK(has_descriptor(Call{1, 0, {}, {}, "t", "key"}));
    CHECK_FALSE(has_descriptor(Submit{0, 0, "t", {no_args}}));
    CHECK_FALSE(has_descriptor(ResultBatch{{{7, JobState::done, 1, "\1\0"}}}));
    CHECK_FALSE(has_descriptor(JobBatch{"t", {{7, 1, no_args}}}));
    CHECK_FALSE(has_descriptor(Job{7, 1, 0, 0, "t", no_args}));
    CHECK(has_descriptor(Fork{1, false, 0}));
    CHECK_FALSE(has_descriptor(Ping{1}));
    CHECK_FALSE(has_descriptor(Forked{1, 1, ""}));
}

TEST_CASE("a fork says how many descriptors come with it", "[message]") {
    CHECK(fork_descriptors(Fork{1, false, 0}) == 4);
    CHECK(fork_descriptors(Fork{1, true, 0}) == 5);
    CHECK(fork_descriptors(Fork{1, false, 2}) == 6);
    CHECK(fork_descriptors(Fork{1, true, 2}) == 7);
}

TEST_CASE("an error says what is wrong and where", "[message]") {
    const Frame ping = encode(Ping{1});
    std::string bytes(ping.bytes());
    CHECK(error_of(bytes + "x") == "frame of 17 bytes says that it has 16");
    CHECK(error_of("S") == "frame of 1 bytes is shorter than a header");
    bytes[1] = 99;
    CHECK(error_of(bytes) == "frame of 16 bytes is of unknown type 99");
    const Frame frame = encode(Close{Refusal::stopping, "bye"});
    std::string close(frame.bytes());
    close.back() = '\xff';
    CHECK(error_of(close) ==
          "frame of 14 bytes is a bad CLOSE: a text is not UTF-8, or has a NUL, at byte 14");
    std::string fork(encode(Fork{1, false, 0}).bytes());
    fork[6] = 0;
    CHECK(error_of(fork) == "frame of 14 bytes is FORK without the flag of its descriptors");
    std::string call(encode(Call{1, 0, {}, {}, "t", "key"}).bytes());
    call[6] = 0;
    CHECK(error_of(call) == "frame of 27 bytes is CALL without the flag of its descriptors");
    CHECK(error_of(std::string(encode(Signal{7, 1}).bytes().substr(0, 16)) + '\0') ==
          "frame of 17 bytes is a bad SIGNAL: a signal that is not one of 1 to 64, at byte 17");
    close = std::string(encode(Accepted{0, 1, 1}).bytes());
    close[4] = 0;
    CHECK(error_of(close) == "frame of 20 bytes is ACCEPTED with a count of 0");
}

TEST_CASE("every refusal has a name", "[message]") {
    CHECK(name_of(Refusal::queue_full) == "queue_full");
    CHECK(name_of(Refusal::no_hello) == "no_hello");
}
