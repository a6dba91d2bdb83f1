#include "launcher.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <limits>
#include <set>

#include "child_process.hpp"
#include "child_setup.hpp"
#include "spawn.hpp"

namespace supervise {
namespace asio = boost::asio;

namespace {

std::set<pid_t>& pids_being_launched() {
    static std::set<pid_t> pids;
    return pids;
}

/// A child that nobody owns yet. If the launch is torn down, it must not run on.
class PendingChild {
  public:
    explicit PendingChild(Launched launched) : launched_(std::move(launched)) {
        pids_being_launched().insert(launched_.pid);
    }
    ~PendingChild() {
        pids_being_launched().erase(launched_.pid);
        if (launched_.pidfd) {
            ::kill(launched_.pid, SIGKILL);  // not reaped, so the pid is still its own
        }
    }
    PendingChild(const PendingChild&) = delete;
    PendingChild& operator=(const PendingChild&) = delete;

    pid_t pid() const { return launched_.pid; }
    Launched release() { return {launched_.pid, std::move(launched_.pidfd)}; }

  private:
    Launched launched_;
};

/// The memory that a ChildPlan points to.
class Prepared {
  public:
    static Result<std::unique_ptr<Prepared>> make(LaunchSpec spec);
    const ChildPlan& plan() const { return plan_; }
    int cgroup_dir() const { return spec_.cgroup_dir; }
    UniqueFd take_report_reader() { return std::move(report_reader_); }
    void close_report_writer() { report_writer_.reset(); }
    Error error(const ChildFailure& failure) const;

  private:
    explicit Prepared(LaunchSpec spec) : spec_(std::move(spec)) {}
    Result<void> open_descriptors();
    void lay_out();

    LaunchSpec spec_;
    std::string program_;
    std::string oom_score_adj_;
    std::vector<char*> argv_;
    std::vector<char*> envp_;
    std::vector<ChildLimit> limits_;
    UniqueFd null_;
    UniqueFd report_reader_;
    UniqueFd report_writer_;
    ChildPlan plan_;
};

std::string path_variable(const std::vector<std::string>& environment) {
    for (const std::string& entry : environment) {
        if (entry.compare(0, 5, "PATH=") == 0) {
            return entry.substr(5);
        }
    }
    return "/usr/local/bin:/usr/bin:/bin";
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> out;
    out.reserve(strings.size() + 1);
    for (std::string& text : strings) {
        out.push_back(text.data());
    }
    out.push_back(nullptr);
    return out;
}

Result<std::unique_ptr<Prepared>> Prepared::make(LaunchSpec spec) {
    if (spec.argv.empty()) {
        return errno_error("exec", "an empty command line", EINVAL);
    }
    std::unique_ptr<Prepared> out(new Prepared(std::move(spec)));
    auto program = find_program(out->spec_.argv[0], path_variable(out->spec_.environment));
    if (!program) {
        return program.error();
    }
    out->program_ = std::move(*program);
    if (const auto opened = out->open_descriptors(); !opened) {
        return opened.error();
    }
    out->lay_out();
    return out;
}

Result<void> Prepared::open_descriptors() {
    null_.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null_) {
        return errno_error("open", "/dev/null");
    }
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) {
        return errno_error("make a pipe");
    }
    report_reader_.reset(ends[0]);
    report_writer_.reset(ends[1]);
    return {};
}

void Prepared::lay_out() {
    argv_ = pointers(spec_.argv);
    envp_ = pointers(spec_.environment);
    oom_score_adj_ = std::to_string(spec_.oom_score_adj);
    for (const ResourceLimit& limit : spec_.limits) {
        const rlim_t value = limit.value == std::numeric_limits<std::uint64_t>::max()
                                 ? RLIM_INFINITY
                                 : static_cast<rlim_t>(limit.value);
        rlimit whole{value, value};
        if (rlimit now{}; limit.soft_only && ::getrlimit(limit.resource, &now) == 0) {
            whole.rlim_max = now.rlim_max;
        }
        limits_.push_back({limit.resource, whole});
    }
    plan_.program = program_.c_str();
    plan_.argv = argv_.data();
    plan_.envp = envp_.data();
    plan_.directory = spec_.directory.empty() ? nullptr : spec_.directory.c_str();
    plan_.oom_score_adj = oom_score_adj_.c_str();
    plan_.limits = limits_.data();
    plan_.limit_count = limits_.size();
    plan_.groups = spec_.groups.data();
    plan_.group_count = spec_.groups.size();
    plan_.set_groups = spec_.uid.has_value();
    plan_.set_gid = spec_.gid.has_value();
    plan_.set_uid = spec_.uid.has_value();
    plan_.set_umask = spec_.umask.has_value();
    plan_.gid = spec_.gid.value_or(0);
    plan_.uid = spec_.uid.value_or(0);
    plan_.umask = static_cast<mode_t>(spec_.umask.value_or(0));
    plan_.null = null_.get();
    plan_.out = spec_.out >= 0 ? spec_.out : null_.get();
    plan_.err = spec_.err >= 0 ? spec_.err : null_.get();
    plan_.channel = spec_.channel;
    plan_.report = report_writer_.get();
    plan_.v1_tasks = spec_.cgroup_v1_tasks;
}

Error Prepared::error(const ChildFailure& failure) const {
    const auto make = [&failure](std::string step, std::string subject = {}) {
        return errno_error(std::move(step), std::move(subject), failure.number);
    };
    const std::string as_user =
        spec_.uid ? " as user " + std::to_string(*spec_.uid) : std::string();
    switch (failure.step) {
        case ChildStep::join_v1_cgroup:
            return make("join cgroup", path_of(spec_.cgroup_v1_tasks));
        case ChildStep::join_v2_cgroup:
            return make("join cgroup", path_of(spec_.cgroup_dir));
        case ChildStep::new_session:
            return make("start a session");
        case ChildStep::descriptors:
            return make("set up descriptors");
        case ChildStep::oom_score_adj:
            return make("set oom_score_adj", oom_score_adj_);
        case ChildStep::limit: {
            const ResourceLimit& limit = spec_.limits[std::min(failure.index, limits_.size() - 1)];
            return make("set limit", limit.name + " to " + std::to_string(limit.value));
        }
        case ChildStep::groups:
            return make("set supplementary groups");
        case ChildStep::gid:
            return make("change to group", std::to_string(*spec_.gid));
        case ChildStep::uid:
            return make("change to user", std::to_string(*spec_.uid));
        case ChildStep::directory:
            return make("change directory to", spec_.directory + as_user);
        case ChildStep::exec:
            // The kernel says "no such file" of the interpreter, too, and people look at the
            // script.
            if (failure.number == ENOENT && ::access(program_.c_str(), F_OK) == 0) {
                return make("exec", program_ + " (the interpreter in its first line is missing)");
            }
            return make("exec", program_ + as_user);
        case ChildStep::none:
            break;
    }
    return make("start", program_);
}

/// Kills (where asked) and reaps without heeding cancellation: no zombie may be left. The caller
/// has set throw_if_cancelled(false).
asio::awaitable<void> take_away(asio::any_io_executor executor, Launched launched, bool kill) {
    ChildProcess child(std::move(executor), launched.pid, std::move(launched.pidfd));
    if (kill) {
        (void)child.signal_group(SIGKILL);  // fails when it has not come to setsid() yet
        (void)child.signal(SIGKILL);        // fails when it has ended by itself
    }
    while (child.running()) {
        try {
            (void)co_await child.wait();
        } catch (const boost::system::system_error& error) {
            if (error.code() != asio::error::operation_aborted) {
                throw;
            }
        }
    }
}

class SystemLauncher final : public Launcher {
  public:
    asio::awaitable<Result<Launched>> launch(LaunchSpec spec) override;
};

asio::awaitable<Result<Launched>> SystemLauncher::launch(LaunchSpec spec) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
    auto prepared = Prepared::make(std::move(spec));
    if (!prepared) {
        co_return prepared.error();
    }
    Prepared& parts = **prepared;
    asio::posix::stream_descriptor report(executor, parts.take_report_reader().release());
    Result<Launched> spawned = spawn(parts.plan(), parts.cgroup_dir());
    parts.close_report_writer();
    if (!spawned) {
        co_return spawned.error();
    }
    PendingChild child(std::move(*spawned));

    // From here on a cancellation must find the way to take_away().
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    ChildFailure failure;
    const asio::mutable_buffer place(&failure, sizeof failure);
    boost::system::error_code error;
    const std::size_t got =
        co_await report.async_read_some(place, asio::redirect_error(asio::use_awaitable, error));
    const bool started = error == asio::error::eof;
    const bool told = !error && got == sizeof failure;
    const bool cancelled = state.cancelled() != asio::cancellation_type::none;
    if (!started || cancelled) {
        co_await take_away(executor, child.release(), !told);
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    if (state.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
    if (told) {
        co_return parts.error(failure);
    }
    if (!started) {
        co_return Error{error, "read the report of", "process " + std::to_string(child.pid())};
    }
    co_return child.release();
}

}  // namespace

Launcher& system_launcher() {
    static SystemLauncher launcher;
    return launcher;
}

bool is_being_launched(pid_t pid) { return pids_being_launched().count(pid) != 0; }

}  // namespace supervise
