#include <csignal>
#include <utility>

#include "tests/unit/pool/template_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

/// A pool whose worker has died, and whose template was asked for another and does not answer.
struct SilentStage : TemplateStage {
    FakeWorker& silent() {
        settings.restart.backoff_first = 1s;
        FakeWorker& parent = start_forked();
        dies(worker(1, 1), SIGKILL);
        REQUIRE(pass_until(5s, [&] { return has(1, 2); }));
        return parent;
    }
};

}  // namespace

TEST_CASE("a template that does not answer for two seconds is replaced, and killed then",
          "[pool][template][silence]") {
    SilentStage stage;
    FakeWorker& parent = stage.silent();
    stage.asked(parent);
    stage.pass(1900ms);
    CHECK_FALSE(stage.has_template(2));
    stage.pass(300ms);
    REQUIRE(stage.has_template(2));
    CHECK(stage.logged("template.silent").size() == 1);
    CHECK_FALSE(parent.killed);
    FakeWorker& next = stage.imports(2);
    CHECK(parent.killed);
    stage.gone(parent);
    stage.does_a_job(stage.forks_ready(next));  // at once: what waited has not died
    CHECK(stage.status().restarts == std::map<std::string, std::uint64_t>{{"signal", 1}});
    CHECK(stage.logged("template.died").empty());
    CHECK_THAT(stage.logged("template.gone").at(0).fields.at("detail"),
               ContainsSubstring("it left a request to fork unanswered"));
    CHECK(stage.status().advice.empty());
}

TEST_CASE("a template that was merely slow is not killed", "[pool][template][silence]") {
    SilentStage stage;
    FakeWorker& parent = stage.silent();
    FakeWorker& worker = stage.forks_silently(parent);
    stage.pass(2200ms);
    REQUIRE(stage.has_template(2));
    stage.answers(parent, worker);
    stage.until("FORKED to be read", [&] { return stage.state(worker) != "spawning"; });
    stage.gets_ready(worker);
    FakeWorker& next = stage.imports(2);
    stage.turn();
    CHECK_FALSE(parent.killed);
    stage.does_a_job(worker);
    stage.pool().recycle(1).value();
    stage.forks_ready(next);
    stage.retires(worker);
    stage.retires(parent);
}

TEST_CASE("each answer is a sign of life, however many forks wait", "[pool][template][silence]") {
    TemplateStage stage(8);
    stage.start();
    FakeWorker& parent = stage.imports(1);
    for (int i = 0; i < 8; ++i) {
        stage.pass(1900ms);
        stage.forks_ready(parent);
    }
    CHECK_FALSE(stage.has_template(2));
    CHECK_FALSE(parent.killed);
}

TEST_CASE("one template at a time is imported for a silent one, which is killed after 20 seconds",
          "[pool][template][silence]") {
    SilentStage stage;
    FakeWorker& parent = stage.silent();
    stage.asked(parent);
    stage.pass(19800ms);
    CHECK(stage.has_template(2));
    CHECK_FALSE(stage.has_template(3));
    CHECK_FALSE(parent.killed);
    stage.pass(400ms);
    CHECK(parent.killed);
    stage.gone(parent);
    stage.pass(5s);
    CHECK_FALSE(stage.has_template(3));
    stage.does_a_job(stage.forks_ready(stage.imports(2)));
}

TEST_CASE("where each template is silent, they are imported more and more rarely",
          "[pool][template][silence]") {
    SilentStage stage;
    stage.settings.restart.backoff_most = 1000s;
    FakeWorker* before = &stage.silent();
    stage.pass(2200ms);
    unsigned generation = 2;
    const auto is_silent_too = [&] {
        CAPTURE(generation);
        FakeWorker& next = stage.imports(generation++);
        stage.gone(*std::exchange(before, &next));
        REQUIRE(stage.pass_until(60s, [&] { return stage.has_template(generation); }));
    };
    for (const Duration wait : {1s, 2s, 4s, 8s}) {
        REQUIRE(stage.has_template(generation));
        const TimePoint begun = stage.clock.now();
        is_silent_too();
        CHECK(stage.clock.now() - begun >= wait * 74 / 100);
    }
    const TimePoint begun = stage.clock.now();
    is_silent_too();
    CHECK(stage.clock.now() - begun >= 11s);
}
