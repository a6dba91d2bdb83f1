#include "ledger.hpp"

namespace supervise {
namespace {

class MemoryLedger final : public Ledger {
  public:
    explicit MemoryLedger(std::size_t capacity) : capacity_(capacity) { ring_.reserve(capacity); }

    void record(Attempt attempt) override {
        count(attempt);
        if (ring_.size() < capacity_) {
            ring_.push_back(std::move(attempt));
        } else {
            ring_[next_] = std::move(attempt);
        }
        next_ = (next_ + 1) % capacity_;
    }

    std::vector<Attempt> attempts(JobId job) const override {
        std::vector<Attempt> found;
        for (std::size_t i = 0; i < ring_.size(); ++i) {
            const std::size_t oldest = ring_.size() < capacity_ ? 0 : next_;
            const Attempt& entry = ring_[(oldest + i) % ring_.size()];
            if (entry.job == job) {
                found.push_back(entry);
            }
        }
        return found;
    }

    const JobCounts& ended() const override { return ended_; }
    const AttemptCounts& attempt_counts() const override { return attempt_counts_; }

  private:
    void count(const Attempt& attempt) {
        if (attempt.attempt > 0) {
            switch (attempt.outcome) {
                case JobState::done:
                    ++attempt_counts_.done;
                    break;
                case JobState::failed:
                    ++attempt_counts_.failed;
                    break;
                default:
                    ++attempt_counts_.lost;
            }
        }
        switch (attempt.job_state) {
            case JobState::done:
                ++ended_.done;
                break;
            case JobState::failed:
                ++ended_.failed;
                break;
            case JobState::lost:
                ++ended_.lost;
                break;
            case JobState::dead:
                ++ended_.dead;
                break;
            case JobState::queued:
            case JobState::running:
                break;
        }
    }

    std::size_t capacity_;
    std::vector<Attempt> ring_;
    std::size_t next_ = 0;  ///< where the next entry goes; the oldest one once the ring is full
    JobCounts ended_;
    AttemptCounts attempt_counts_;
};

}  // namespace

std::unique_ptr<Ledger> make_memory_ledger(std::size_t capacity) {
    return std::make_unique<MemoryLedger>(capacity);
}

}  // namespace supervise
