#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/unit/pool/stage.hpp"

namespace supervise::test {

/// A stage whose pool has `preload`, without spares until the test asks for some; the test plays
/// its templates, too.
class TemplateStage : public Stage {
  public:
    explicit TemplateStage(unsigned workers = 1);

    /// Waits for the launch of a generation's template.
    FakeWorker& launched(unsigned generation);
    /// The same, and brings it to READY, or to its end where it must not fork.
    FakeWorker& imports(unsigned generation, const std::vector<std::string>& findings = {});
    /// Lets it fail as the package does, and waits until the pool knows.
    void fails_to_import(unsigned generation, const std::string& why);
    /// Whether its launch has begun.
    bool has_template(unsigned generation);
    /// Whether its process has gone, or its launch has failed.
    bool has_ended(unsigned generation) const;
    /// The template's line in status, with state "" when it has none; and the line that says what
    /// is wrong, when there is one.
    TemplateSnapshot row(unsigned generation) const;
    TemplateSnapshot trouble() const;

    /// Waits for the next FORK.
    ipc::Fork asked(FakeWorker& parent);
    /// Does the next FORK: the worker is there, but does not say READY.
    FakeWorker& forks(FakeWorker& parent);
    /// The same, but for waiting until the pool has read the answer.
    FakeWorker& forks_unread(FakeWorker& parent);
    /// The same, but for the answer.
    FakeWorker& forks_silently(FakeWorker& parent);
    void answers(FakeWorker& parent, const FakeWorker& child);
    /// The same, and brings the worker to READY.
    FakeWorker& forks_ready(FakeWorker& parent);
    /// READY from a worker that forks() has made.
    void gets_ready(FakeWorker& worker);
    /// Says that the next FORK has failed, and why, as "EAGAIN: no more processes".
    void fails_to_fork(FakeWorker& parent, const std::string& why);

    /// start(), the first template, and all workers forked and ready; the template.
    FakeWorker& start_forked();
    /// Answers whatever FORK has come or comes within this turn, with workers that are ready at
    /// once; how many.
    unsigned forks_all(FakeWorker& parent);
    /// The worker that status shows in a slot, successors and leaving ones apart.
    FakeWorker& current(unsigned slot);

  private:
    FakeWorker& bear(FakeWorker& parent, const ipc::Fork& request);

    std::map<const FakeWorker*, std::uint32_t> numbers_;  ///< of the requests that made them
};

}  // namespace supervise::test
