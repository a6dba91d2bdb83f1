#include "tests/unit/pool/front_stage.hpp"

#include <algorithm>

namespace supervise::test {
using namespace std::chrono_literals;

FrontStage::FrontStage(unsigned workers) : Stage(workers) {
    settings.kind = PoolKind::celery;
    settings.front.emplace();
    settings.front->hostname = "work@host";
}

FakeWorker& FrontStage::launched(unsigned number) {
    REQUIRE(pass_until(1h, [&] { return has_front(number); }));
    FakeWorker& found = *host().find(leaf(number));
    until("the launch of " + found.leaf, [&] { return row(found).state == "starting"; });
    hears(found, "up");
    return found;
}

FakeWorker& FrontStage::connecting(unsigned number) {
    FakeWorker& found = launched(number);
    ipc::Hello hello;
    hello.role = ipc::Role::front;
    found.send(hello);
    REQUIRE(std::holds_alternative<ipc::Welcome>(next(found)));
    until(found.leaf + " to connect", [&] { return row(found).state == "connecting"; });
    return found;
}

FakeWorker& FrontStage::consumes(unsigned number) {
    FakeWorker& found = connecting(number);
    found.send(ipc::Ready{});
    until(found.leaf + " to consume", [&] { return row(found).state == "ready"; });
    return found;
}

FakeWorker& FrontStage::start_served() {
    start_ready();
    return consumes(1);
}

void FrontStage::ends(FakeWorker& front, int code) {
    front.exit(code);
    until("the end of " + front.leaf, [&] { return row(front).state.empty(); });
    turn();  // its burial
}

void FrontStage::trims(FakeWorker& front, std::uint64_t rss) {
    std::optional<ipc::Message> message;
    REQUIRE(pass_until(1min, [&] {
        message = front.receive();
        return message.has_value();
    }));
    REQUIRE(std::holds_alternative<ipc::Trim>(*message));
    front.memory.rss = rss;
    const std::size_t before = logged("front.trimmed").size();
    front.send(ipc::Trimmed{0});
    until(front.leaf + " to have trimmed", [&] { return logged("front.trimmed").size() > before; });
}

FrontSnapshot FrontStage::row(const FakeWorker& front) const {
    for (const FrontSnapshot& each : status().fronts) {
        if (front.launched() && each.pid == front.pid) {
            return each;
        }
    }
    return {};
}

void FrontStage::hears(FakeWorker& front, const std::string& line) {
    until(front.leaf + " to say " + line, [&] {
        const std::vector<LogLine> lines = logged("front.output");
        return std::any_of(lines.begin(), lines.end(), [&](const LogLine& each) {
            return each.fields.at("pid") == std::to_string(front.pid) &&
                   each.fields.at("line") == line;
        });
    });
}

}  // namespace supervise::test
