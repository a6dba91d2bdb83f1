#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervise/front_settings.hpp"

namespace supervise {

using Seconds = std::chrono::duration<double>;
using Milliseconds = std::chrono::milliseconds;

/// When a healthy worker is replaced. Nothing set means never for that reason.
struct RecycleSettings {
    std::optional<std::uint64_t> max_tasks;  ///< jobs; never exceeded
    double max_tasks_jitter = 0.1;           ///< 0..0.9: the line is drawn from [(1-j)*n, n]
    std::optional<std::uint64_t> max_rss;    ///< bytes of VmRSS, after a job and after trimming
    std::optional<std::uint64_t>
        max_private;                      ///< bytes of anon + swap + shmem of the worker's leaf
    std::optional<Milliseconds> max_age;  ///< since launch; same jitter as max_tasks
    std::optional<Milliseconds> idle;     ///< without a job for this long
    bool operator==(const RecycleSettings&) const = default;
};

struct MemorySettings {
    std::optional<std::uint64_t> hard;    ///< bytes of private memory: the job is stopped at once
    std::optional<std::uint64_t> budget;  ///< bytes: the whole pool, template and spares included
    int oom_score_adj = 500;              ///< -1000..1000, see proc(5)
    bool operator==(const MemorySettings&) const = default;
};

struct RestartSettings {
    Milliseconds backoff_first{100};
    Milliseconds backoff_most{30'000};
    /// Deaths in a row, each within `period` of the one before and no job done in between, that
    /// trip the breaker; 0: never.
    unsigned burst = 10;
    Milliseconds period{60'000};
    bool operator==(const RestartSettings&) const = default;
};

struct JobSettings {
    std::uint64_t queue_limit = 10'000;  ///< 1..10,000,000 jobs waiting
    std::optional<Milliseconds> soft_time_limit;
    std::optional<Milliseconds> time_limit;
    unsigned retries = 0;          ///< 0..100 more attempts after a failed or lost one
    unsigned max_clients = 2'000;  ///< connections at a time
    /// 1..64 jobs handed to a worker at a time. More than one is for short jobs: they wait in the
    /// worker's socket instead of the queue. A task with a time limit is never put behind another.
    unsigned window = 1;
    bool operator==(const JobSettings&) const = default;
};

struct OutputSettings {
    std::uint64_t max_line = 4'096;          ///< bytes; longer lines are cut
    std::uint64_t lines_per_second = 1'000;  ///< more are counted and left out
    bool operator==(const OutputSettings&) const = default;
};

/// setrlimit(2) for workers; the value is soft and hard limit at once.
struct ResourceLimit {
    int resource = 0;         ///< RLIMIT_NOFILE and so on
    std::string name;         ///< as in the config: "nofile"
    std::uint64_t value = 0;  ///< UINT64_MAX: unlimited
    bool soft_only = false;   ///< the hard limit stays; never from a config
    bool operator==(const ResourceLimit&) const = default;
};

/// What to do when the application makes forking unsafe: it started threads, holds a CUDA context
/// or has connections open when the template has imported it.
enum class OnUnsafeFork {
    spawn,   ///< start the workers plainly, and say so
    refuse,  ///< the pool does not run
    fork,    ///< say so, and fork all the same
};

/// What runs in a pool.
enum class PoolKind {
    python,  ///< functions marked with @supervise.task
    celery,  ///< the tasks of a Celery application, sent by its front
};

struct PoolSettings {
    std::string name;
    PoolKind kind = PoolKind::python;
    std::string app;        ///< module that the worker imports; of celery, what `celery -A` takes
    std::string python;     ///< interpreter: absolute path, or a name looked up in PATH
    std::string directory;  ///< absolute; the workers' working directory
    std::vector<std::string> module_path;            ///< absolute; put first on sys.path
    std::map<std::string, std::string> environment;  ///< added to the supervisor's own
    unsigned min_workers = 1;
    unsigned max_workers = 1;  ///< equal to min_workers: a fixed size
    bool preload = false;      ///< import the app once, in a template, and fork workers from it
    /// 0..64 ready workers beside the slots, forked or spawned as the others are. A config file's
    /// default is 1 with preload.
    unsigned spare = 0;
    OnUnsafeFork on_unsafe_fork = OnUnsafeFork::spawn;  ///< matters with preload only
    std::optional<std::string> user;                    ///< name or number; needs root
    std::optional<std::string> group;
    std::optional<unsigned> umask;
    std::vector<ResourceLimit> limits;
    std::vector<std::string> clients;    ///< users that may submit, besides root and our own
    Milliseconds start_timeout{60'000};  ///< launch to READY
    Milliseconds grace{30'000};          ///< a drain's time for running jobs
    RecycleSettings recycle;
    MemorySettings memory;
    RestartSettings restart;
    JobSettings jobs;
    OutputSettings output;
    std::optional<FrontSettings> front;  ///< celery only; without it, somebody else starts one
    bool operator==(const PoolSettings&) const = default;
};

struct LogSettings {
    std::string level = "info";       ///< debug, info, warning, error
    std::string format = "text";      ///< text, json, journald
    std::optional<std::string> file;  ///< stderr when absent
    bool operator==(const LogSettings&) const = default;
};

struct SupervisorSettings {
    std::string runtime_dir;                 ///< absolute
    std::optional<std::string> listen;       ///< "host:port", read-only HTTP
    std::optional<std::string> cgroup_root;  ///< from the cgroup mount, as "/supervise"
    std::vector<std::string> operators;  ///< users of the control socket, besides root and our own
    LogSettings log;
    bool operator==(const SupervisorSettings&) const = default;
};

struct Settings {
    SupervisorSettings supervisor;
    std::vector<PoolSettings> pools;  ///< in the file's order; names are unique
    bool operator==(const Settings&) const = default;
};

}  // namespace supervise
