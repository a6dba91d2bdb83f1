#pragma once

#include <string>

#include "tests/unit/pool/stage.hpp"

namespace supervise::test {

/// A stage whose pool is a Celery pool with a front; the test plays that, too.
class FrontStage : public Stage {
  public:
    explicit FrontStage(unsigned workers = 1);

    /// Waits for the launch of the n-th front, while time passes.
    FakeWorker& launched(unsigned number);
    /// The same, and lets it import the application.
    FakeWorker& connecting(unsigned number);
    /// The same, and lets it consume.
    FakeWorker& consumes(unsigned number);
    /// start_ready(), and the first front consumes.
    FakeWorker& start_served();
    /// Whether its launch has begun.
    bool has_front(unsigned number) { return host().find(leaf(number)) != nullptr; }
    /// Ends its process, and waits until the pool knows.
    void ends(FakeWorker& front, int code = 0);
    /// Answers TRIM, which must have come, and waits until the pool knows.
    void trims(FakeWorker& front, std::uint64_t rss);
    /// Its line in status; with state "" when it has none.
    FrontSnapshot row(const FakeWorker& front) const;
    /// Waits until its process has written a line.
    void hears(FakeWorker& front, const std::string& line);

  private:
    static std::string leaf(unsigned number) { return "front." + std::to_string(number); }
};

}  // namespace supervise::test
