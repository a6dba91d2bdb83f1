#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ipc/report.hpp"
#include "pool/job_desk.hpp"

namespace supervise::test {

/// Keeps every entry for ever, so that a test can count them.
class KeepingLedger final : public Ledger {
  public:
    void record(Attempt attempt) override {
        entries[attempt.job].push_back(attempt);
        counts_->record(std::move(attempt));
    }
    std::vector<Attempt> attempts(JobId job) const override {
        const auto found = entries.find(job);
        return found == entries.end() ? std::vector<Attempt>() : found->second;
    }
    const JobCounts& ended() const override { return counts_->ended(); }
    const AttemptCounts& attempt_counts() const override { return counts_->attempt_counts(); }

    std::map<JobId, std::vector<Attempt>> entries;

  private:
    std::unique_ptr<Ledger> counts_ = make_memory_ledger(1);
};

/// Writes down the ends that it is told.
class Listener final : public Submitter {
  public:
    struct End {
        JobState state;
        unsigned attempts;
        std::string report;
    };
    void job_ended(JobId id, JobState state, unsigned attempts, std::string_view report) override {
        ends[id].push_back({state, attempts, std::string(report)});
    }
    std::map<JobId, std::vector<End>> ends;
};

inline std::string done_report() { return ipc::encode_report(ipc::Value{}); }
inline std::string failed_report() {
    return ipc::encode_report(ipc::Failure{"ValueError", "no such row", "Traceback ..."});
}

}  // namespace supervise::test
