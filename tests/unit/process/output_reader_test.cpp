#include "supervisor/process/output_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "supervisor/process/line_splitter.hpp"
#include "support.hpp"
#include "tests/support/catch.hpp"

namespace asio = boost::asio;
using namespace supervise;
using namespace supervise::test;

namespace {

struct Lines {
    std::vector<std::string> all;  ///< "~" behind a line that was cut
    std::uint64_t dropped = 0;
    int drop_calls = 0;
    std::function<void()> on_drop = [] {};

    LineHandler handler() {
        return [this](std::string_view line, bool cut, std::uint64_t count) {
            if (count > 0) {
                dropped += count;
                ++drop_calls;
                on_drop();
            } else {
                all.push_back(std::string(line) + (cut ? "~" : ""));
            }
        };
    }
};

asio::awaitable<int> read_all(UniqueFd reader, OutputLimits limits, LineHandler handler) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    co_await read_lines(executor, std::move(reader), limits, system_clock(), std::move(handler));
    co_return 0;
}

void write_text(int fd, const std::string& text) {
    REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

/// What a reader makes of `text` and an end of file.
Lines lines_of(const std::string& text, OutputLimits limits = {}) {
    Pipe pipe = make_pipe();
    write_text(pipe.writer.get(), text);
    pipe.writer.reset();
    Lines lines;
    run(read_all(std::move(pipe.reader), limits, lines.handler()));
    return lines;
}

std::vector<std::string> split_in_pieces(const std::string& text, std::size_t piece,
                                         std::size_t max_line) {
    std::vector<std::string> out;
    LineSplitter splitter(max_line);
    const LineSplitter::Line line = [&out](std::string_view bytes, bool cut) {
        out.push_back(std::string(bytes) + (cut ? "~" : ""));
    };
    for (std::size_t at = 0; at < text.size(); at += piece) {
        splitter.feed(std::string_view(text).substr(at, piece), line);
    }
    splitter.finish(line);
    return out;
}

}  // namespace

TEST_CASE("lines come out the same however their bytes arrive", "[output]") {
    const std::string text = "one\n\nexactly8\nninebytes\nlast but very long one\nend";
    const std::vector<std::string> expected{"one", "", "exactly8", "ninebyte~", "last but~", "end"};
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        CHECK(split_in_pieces(text, piece, 8) == expected);
    }
}

TEST_CASE("a line that never ends is given out when it is full", "[output]") {
    LineSplitter splitter(4);
    std::vector<std::string> out;
    const LineSplitter::Line line = [&out](std::string_view bytes, bool) {
        out.emplace_back(bytes);
    };
    splitter.feed("abcd", line);
    CHECK(out.empty());
    splitter.feed("e", line);
    CHECK(out == std::vector<std::string>{"abcd"});
    splitter.feed(std::string(100000, 'x'), line);
    splitter.finish(line);
    CHECK(out.size() == 1);
}

TEST_CASE("bytes pass through as they are", "[output]") {
    const std::string odd = std::string("\xff\xfe nul \0 end\r", 14);
    CHECK(lines_of(odd + "\n").all == std::vector<std::string>{odd});
    CHECK(lines_of("").all.empty());
    CHECK(lines_of("\n\n").all == std::vector<std::string>{"", ""});
    CHECK(lines_of("unfinished").all == std::vector<std::string>{"unfinished"});
}

TEST_CASE("lines over the rate are counted and held back", "[output]") {
    std::string text;
    for (int i = 0; i < 1000; ++i) {
        text += std::to_string(i) + '\n';
    }
    const Lines got = lines_of(text, {4096, 10});
    REQUIRE(got.all.size() == 10);
    CHECK(got.all.front() == "0");
    CHECK(got.all.back() == "9");
    CHECK(got.dropped == 990);
    CHECK(got.drop_calls == 1);
    CHECK(lines_of(text, {4096, 1000}).all.size() == 1000);
}

TEST_CASE("held back lines are told within their second, though nothing follows", "[output]") {
    Pipe pipe = make_pipe();
    write_text(pipe.writer.get(), "1\n2\n3\n4\n5\n");
    Lines lines;
    // Only the report lets the stream end.
    lines.on_drop = [&pipe] {
        write_text(pipe.writer.get(), "6\n");
        pipe.writer.reset();
    };
    run(read_all(std::move(pipe.reader), {4096, 2}, lines.handler()));
    CHECK(lines.all == std::vector<std::string>{"1", "2", "6"});
    CHECK(lines.dropped == 3);
}

namespace {

asio::awaitable<void> tick_until(bool& stop, Duration& longest) {
    auto last = system_clock().now();
    while (!stop) {
        co_await system_clock().sleep_for(std::chrono::milliseconds(2));
        longest = std::max(longest, system_clock().now() - last);
        last = system_clock().now();
    }
}

asio::awaitable<void> read_flood(UniqueFd reader, LineHandler handler, bool& stop) {
    const OutputLimits limits{4096, 1000};
    (void)co_await read_all(std::move(reader), limits, std::move(handler));
    stop = true;
}

asio::awaitable<int> flood(UniqueFd reader, LineHandler handler, Duration& longest) {
    using namespace asio::experimental::awaitable_operators;
    bool stop = false;
    co_await (read_flood(std::move(reader), std::move(handler), stop) && tick_until(stop, longest));
    co_return 0;
}

}  // namespace

TEST_CASE("a flood neither stalls the loop nor loses count", "[output]") {
    Pipe pipe = make_pipe();
    LaunchSpec spec = shell("yes 0123456789 | head -n 5000000");
    spec.out = pipe.writer.get();
    Launched child = launch(std::move(spec));
    pipe.writer.reset();
    Lines lines;
    Duration longest{};
    run(flood(std::move(pipe.reader), lines.handler(), longest));
    CHECK(wait(std::move(child)).clean());
    CHECK(lines.all.size() + lines.dropped == 5'000'000);
    CHECK(lines.all.size() >= 1000);
    CHECK(longest < std::chrono::milliseconds(500));
}

TEST_CASE("a cancelled reader gives out what it has and ends", "[output]") {
    Pipe pipe = make_pipe();
    write_text(pipe.writer.get(), "a\nb\nc\nbegun");
    Lines lines;
    asio::io_context io(1);
    asio::cancellation_signal cancel;
    std::exception_ptr failure;
    // With a count on hold it waits for two things at once.
    const std::uint64_t rate = GENERATE(1u, 100u);
    asio::co_spawn(
        io, read_all(std::move(pipe.reader), {4096, rate}, lines.handler()),
        asio::bind_cancellation_slot(
            cancel.slot(), [&failure](std::exception_ptr error, int) { failure = error; }));
    for (int i = 0; i < 20; ++i) {
        io.poll();
    }
    cancel.emit(asio::cancellation_type::terminal);
    io.run_for(std::chrono::seconds(30));
    REQUIRE(failure);
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
        CHECK(error.code() == asio::error::operation_aborted);
    }
    CHECK(lines.all.size() + lines.dropped == 4);
    CHECK(lines.all.front() == "a");
}
