#include "tests/unit/pool/template_stage.hpp"

#include <algorithm>
#include <stdexcept>

#include "tests/support/loop.hpp"

namespace supervise::test {
namespace asio = boost::asio;

namespace {

std::string template_leaf(unsigned generation) { return "template." + std::to_string(generation); }

bool says_what_is_wrong(const TemplateSnapshot& row) {
    return row.state == "failed" || row.state == "refused" || row.state == "unsafe";
}

asio::awaitable<void> fork_in(FakeHost& host, FakeWorker& parent, FakeWorker*& child) {
    child = co_await host.fork(parent);
}

}  // namespace

TemplateStage::TemplateStage(unsigned workers) : Stage(workers) { settings.preload = true; }

FakeWorker& TemplateStage::launched(unsigned generation) {
    const std::string leaf = template_leaf(generation);
    until("the launch of " + leaf, [&] {
        const FakeWorker* const found = host().find(leaf);
        return found != nullptr && state(*found) == "starting";
    });
    FakeWorker& found = *host().find(leaf);
    REQUIRE(found.is_template());
    return found;
}

FakeWorker& TemplateStage::imports(unsigned generation, const std::vector<std::string>& findings) {
    FakeWorker& found = launched(generation);
    ipc::Hello hello;
    hello.role = ipc::Role::template_process;
    found.send(hello);
    found.send(ipc::Register{tasks});
    if (!findings.empty()) {
        found.send(ipc::Unsafe{{findings.begin(), findings.end()}});
    }
    found.send(ipc::Ready{});
    REQUIRE(std::holds_alternative<ipc::Welcome>(next(found)));
    until(found.leaf + " to be ready", [&] { return state(found) != "starting"; });
    return found;
}

void TemplateStage::fails_to_import(unsigned generation, const std::string& why) {
    FakeWorker& found = launched(generation);
    ipc::Hello hello;
    hello.role = ipc::Role::template_process;
    found.send(hello);
    found.send(ipc::StartFailed{"ImportError", why});
    found.exit(1);
    gone(found);
}

bool TemplateStage::has_template(unsigned generation) {
    return host().find(template_leaf(generation)) != nullptr;
}

bool TemplateStage::has_ended(unsigned generation) const {
    const std::string state = row(generation).state;
    return state.empty() || state == "gone";
}

TemplateSnapshot TemplateStage::row(unsigned generation) const {
    for (const TemplateSnapshot& each : status().templates) {
        if (each.generation == generation && !says_what_is_wrong(each)) {
            return each;
        }
    }
    return {};
}

TemplateSnapshot TemplateStage::trouble() const {
    for (const TemplateSnapshot& each : status().templates) {
        if (says_what_is_wrong(each)) {
            return each;
        }
    }
    return {};
}

ipc::Fork TemplateStage::asked(FakeWorker& parent) {
    const ipc::Message message = next(parent);
    const auto* const request = std::get_if<ipc::Fork>(&message);
    if (request == nullptr) {
        throw std::runtime_error(parent.leaf + " was not asked to fork, but got message " +
                                 std::to_string(message.index()));
    }
    return *request;
}

FakeWorker& TemplateStage::bear(FakeWorker& parent, const ipc::Fork& request) {
    FakeWorker* child = nullptr;
    run(loop(), fork_in(host(), parent, child));
    numbers_[child] = request.number;
    return *child;
}

void TemplateStage::answers(FakeWorker& parent, const FakeWorker& child) {
    parent.send(ipc::Forked{numbers_.at(&child), static_cast<std::uint32_t>(child.pid), {}});
}

FakeWorker& TemplateStage::forks_silently(FakeWorker& parent) {
    return bear(parent, asked(parent));
}

FakeWorker& TemplateStage::forks_unread(FakeWorker& parent) {
    FakeWorker& child = forks_silently(parent);
    answers(parent, child);
    return child;
}

FakeWorker& TemplateStage::forks(FakeWorker& parent) {
    FakeWorker& child = forks_unread(parent);
    until("FORKED to be read", [&] { return state(child) != "spawning"; });
    return child;
}

void TemplateStage::gets_ready(FakeWorker& worker) {
    worker.send(ipc::Ready{});
    until("worker " + worker.leaf + " to be ready", [&] { return state(worker) != "starting"; });
}

FakeWorker& TemplateStage::forks_ready(FakeWorker& parent) {
    FakeWorker& child = forks(parent);
    gets_ready(child);
    return child;
}

void TemplateStage::fails_to_fork(FakeWorker& parent, const std::string& why) {
    const std::uint32_t number = asked(parent).number;
    parent.to_fork.clear();
    const std::size_t before = logged("worker.not_started").size();
    parent.send(ipc::Forked{number, 0, why});
    until("a failed fork to be noticed",
          [&] { return logged("worker.not_started").size() > before; });
}

FakeWorker& TemplateStage::start_forked() {
    start();
    FakeWorker& parent = imports(1);
    for (unsigned slot = 1; slot <= settings.min_workers; ++slot) {
        forks_ready(parent);
    }
    return parent;
}

unsigned TemplateStage::forks_all(FakeWorker& parent) {
    unsigned done = 0;
    for (turn();; turn(), ++done) {
        const std::optional<ipc::Message> message = parent.receive();
        if (!message) {
            return done;
        }
        FakeWorker& child = bear(parent, std::get<ipc::Fork>(*message));
        answers(parent, child);
        until("FORKED to be read", [&] { return state(child) != "spawning"; });
        gets_ready(child);
    }
}

FakeWorker& TemplateStage::current(unsigned slot) {
    for (const WorkerSnapshot& row : status().workers) {
        const auto is_it = [&row](const FakeWorker& each) { return each.pid == row.pid; };
        if (row.slot == slot && !row.successor && row.state != "retiring" && row.pid != 0) {
            return *std::find_if(host().workers.begin(), host().workers.end(), is_it);
        }
    }
    throw std::runtime_error("slot " + std::to_string(slot) + " is empty");
}

}  // namespace supervise::test
