#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace supervise {

/// What `supervise status` shows; plain values, taken in one go.
struct WorkerSnapshot {
    unsigned slot = 0;  ///< from 1; 0: a spare, which has no slot yet
    std::uint32_t incarnation = 0;
    int pid = 0;
    std::string state;  ///< spawning, starting, idle, busy, retiring
    std::string task;   ///< empty when it has no job
    std::optional<std::uint64_t> job_id;
    std::uint64_t jobs_done = 0;
    double age_seconds = 0;
    std::uint64_t rss_bytes = 0;
    std::uint64_t private_bytes = 0;
    unsigned generation = 1;
    bool successor = false;  ///< warm, waiting for the slot
};

/// A process that has imported the application and forks workers.
struct TemplateSnapshot {
    std::string state;        ///< starting, ready, failed, unsafe, refused, retiring, gone
    unsigned generation = 1;  ///< which its workers are of, too
    int pid = 0;              ///< 0 when it has gone
    double age_seconds = 0;   ///< since launch
    std::uint64_t rss_bytes = 0;
    std::uint64_t private_bytes = 0;
    std::uint64_t forks = 0;            ///< workers that it has forked
    unsigned workers = 0;               ///< of these, how many live
    std::string error;                  ///< why it failed; else empty
    std::vector<std::string> findings;  ///< what makes forking unsafe; empty: nothing was found
};

/// Of a Celery pool: a process that talks to the broker.
struct FrontSnapshot {
    unsigned incarnation = 0;
    std::string node;   ///< "work@host", by which Celery knows it
    std::string state;  ///< starting, connecting, ready, stopping
    int pid = 0;
    double age_seconds = 0;  ///< since launch
    std::uint64_t rss_bytes = 0;
    std::uint64_t private_bytes = 0;
};

struct JobCounts {
    std::uint64_t queued = 0, running = 0;                   ///< now
    std::uint64_t done = 0, failed = 0, lost = 0, dead = 0;  ///< jobs ended so, since the start
};

/// Attempts by how they ended; a retried job has several.
struct AttemptCounts {
    std::uint64_t done = 0, failed = 0, lost = 0;
};

struct GapSnapshot {
    double p50 = 0, p99 = 0;  ///< seconds; 0 while count is 0
    std::uint64_t count = 0;
};

struct PoolSnapshot {
    std::string name;
    std::string state;   ///< starting, running, paused, degraded, stopping
    std::string advice;  ///< when not healthy: what happened and the next step; else empty
    unsigned workers_wanted = 0;
    std::vector<WorkerSnapshot> workers;
    unsigned generation = 1;  ///< that workers which start now are of
    /// The newest first; empty without preload. An old one stays as long as it has workers.
    std::vector<TemplateSnapshot> templates;
    std::uint64_t template_forks = 0;   ///< since the start, also by templates that have gone
    std::vector<FrontSnapshot> fronts;  ///< the newest first; empty where supervise runs none
    std::map<std::string, std::uint64_t> front_recycles;  ///< by reason
    std::map<std::string, std::uint64_t> front_restarts;  ///< by cause
    JobCounts jobs;
    AttemptCounts attempts;
    std::map<std::string, std::uint64_t> recycles;  ///< by reason
    std::map<std::string, std::uint64_t> restarts;  ///< by cause
    GapSnapshot slot_gap;
    std::uint64_t clients = 0;
    std::uint64_t refused = 0;        ///< submits, since the start
    std::uint64_t trims = 0;          ///< times a worker was asked to trim
    std::uint64_t trimmed_bytes = 0;  ///< what came back by it
};

struct Snapshot {
    int pid = 0;
    std::string version;
    char tier = 'D';
    std::string tier_reason;            ///< why not a better one
    std::vector<std::string> features;  ///< one line each: on, emulated or off
    double uptime_seconds = 0;
    std::uint64_t rss_bytes = 0;
    bool stopping = false;
    std::vector<PoolSnapshot> pools;
};

/// The answer to "what happened to it, and on what evidence".
struct Explanation {
    std::string subject;  ///< "job 812", "worker reports/2 incarnation 7 (pid 4711)"
    std::string verdict;  ///< one sentence
    std::vector<std::pair<std::string, std::string>> facts;  ///< evidence, in reading order
    std::vector<Explanation> history;                        ///< attempts, or earlier incarnations
};

}  // namespace supervise
