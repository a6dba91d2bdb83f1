#include "tests/unit/pool/stage.hpp"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace supervise::test {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 20s;

std::string leaf_name(unsigned slot, unsigned incarnation) {
    return (slot == 0 ? "spare" : std::to_string(slot)) + '.' + std::to_string(incarnation);
}

}  // namespace

Stage::Stage(unsigned workers) : host_(std::make_unique<FakeHost>()) {
    char path[] = "/tmp/supervise-pool-test-XXXXXX";
    if (::mkdtemp(path) == nullptr) {
        throw std::runtime_error("mkdtemp");
    }
    runtime_dir_ = path;
    settings.name = "p";
    settings.app = "app";
    settings.python = "/usr/bin/python3";
    settings.directory = "/";
    settings.min_workers = settings.max_workers = workers;
    settings.recycle.max_tasks_jitter = 0;
    ipc::TaskInfo work;
    work.name = "app.work";
    ipc::TaskInfo retry;
    retry.name = "app.retry";
    retry.retries = std::uint8_t{2};
    tasks = {work, retry};
}

Stage::~Stage() {
    if (pool_ && !ended_) {
        pool_->stop();
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!ended_ && std::chrono::steady_clock::now() < deadline) {
            for (FakeWorker& worker : host_->workers) {
                worker.populated = false;
                if (worker.launched()) {
                    worker.hang_up();
                }
            }
            pass(100ms);  // more than the grace in the end: whoever stays is killed
            io_.run_one_for(1ms);
        }
    }
    if (pool_ && !ended_) {
        std::fprintf(stderr, "the pool has not ended\n");
        std::abort();  // its coroutines refer to what is destroyed here
    }
    pool_.reset();
    std::filesystem::remove_all(runtime_dir_);
}

void Stage::start() {
    PoolContext context;
    context.executor = io_.get_executor();
    context.clock = &clock;
    context.launcher = host_.get();
    context.cgroups = host_.get();
    context.logger = Logger(
        [this](LogLevel level, std::string_view event, const LogField* fields, std::size_t count) {
            LogLine& line = log.emplace_back();
            line.level = level;
            line.event = event;
            for (std::size_t i = 0; i < count; ++i) {
                line.fields[std::string(fields[i].key)] = fields[i].value;
            }
        },
        LogLevel::debug);
    context.random = &random_;
    context.last_job_id = &last_job_id_;
    context.runtime_dir = runtime_dir_;
    context.package_dir = "/package";
    context.config_error = [this](const std::string& text) { config_errors.push_back(text); };
    pool_ = std::make_unique<Pool>(std::move(context), settings);
    pool_->open().value();
    asio::co_spawn(io_, pool_->run(), [this](std::exception_ptr error) {
        ended_ = true;
        failure_ = error;
    });
    turn();
}

void Stage::start_ready() {
    start();
    for (unsigned slot = 1; slot <= settings.min_workers; ++slot) {
        ready(slot, 1);
    }
}

void Stage::until(const std::string& what, const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    turn();
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) {
            throw std::runtime_error("waited in vain for: " + what);
        }
        io_.run_one_for(10ms);
        turn();
    }
}

void Stage::turn() {
    io_.restart();
    while (io_.poll() > 0) {
        io_.restart();
    }
    io_.restart();
    if (failure_) {
        std::rethrow_exception(std::exchange(failure_, nullptr));
    }
}

void Stage::pass(Duration time) {
    const TimePoint end = clock.now() + time;
    turn();
    for (auto next = clock.next(); next && *next <= end; next = clock.next()) {
        clock.advance_to(*next);
        turn();
    }
    clock.advance_to(end);
    turn();
}

bool Stage::pass_until(Duration most, const std::function<bool()>& condition) {
    const TimePoint end = clock.now() + most;
    turn();
    while (!condition()) {
        const auto next = clock.next();
        if (!next || *next > end) {
            return false;
        }
        clock.advance_to(*next);
        turn();
    }
    return true;
}

FakeWorker& Stage::worker(unsigned slot, unsigned incarnation) {
    const std::string leaf = leaf_name(slot, incarnation);
    until("the launch of worker " + leaf, [&] {
        FakeWorker* const found = host_->find(leaf);
        return found != nullptr && found->launched() && state(*found) != "spawning";
    });
    return *host_->find(leaf);
}

FakeWorker& Stage::ready(unsigned slot, unsigned incarnation) {
    FakeWorker& found = worker(slot, incarnation);
    found.get_ready(tasks);
    until("WELCOME to worker " + found.leaf, [&] {
        const auto message = found.receive();
        return message && std::holds_alternative<ipc::Welcome>(*message);
    });
    until("worker " + found.leaf + " to be ready", [&] { return state(found) != "starting"; });
    return found;
}

bool Stage::has(unsigned slot, unsigned incarnation) {
    return host_->find(leaf_name(slot, incarnation)) != nullptr;
}

std::string Stage::state(const FakeWorker& worker) const {
    const PoolSnapshot now = pool_->snapshot();
    for (const WorkerSnapshot& row : now.workers) {
        // A spare that takes a slot keeps its process, not its name.
        const bool is_it = row.pid != 0 ? row.pid == worker.pid
                                        : leaf_name(row.slot, row.incarnation) == worker.leaf;
        if (is_it) {
            return row.state;
        }
    }
    for (const TemplateSnapshot& row : now.templates) {
        if (worker.launched() && row.pid == worker.pid && row.state != "gone") {
            return row.state;
        }
    }
    return "";
}

UniqueFd Stage::connect() {
    const std::string path = runtime_dir_ + '/' + settings.name + ".sock";
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw std::runtime_error("connect to " + path);
    }
    return fd;
}

JobId Stage::submit(const std::string& task) {
    JobDesk::Request request;
    request.task = task;
    request.args = std::string_view("\0", 1);
    request.submitter = &listener;
    const auto answer = pool_->submit(std::move(request));
    if (const auto* rejection = std::get_if<Rejection>(&answer)) {
        throw std::runtime_error("refused: " + rejection->message);
    }
    return std::get<JobId>(answer);
}

Rejection Stage::refused(const std::string& task) {
    JobDesk::Request request;
    request.task = task;
    request.submitter = &listener;
    return std::get<Rejection>(pool_->submit(std::move(request)));
}

ipc::Message Stage::next(FakeWorker& worker) {
    std::optional<ipc::Message> message;
    until("a message to worker " + worker.leaf, [&] {
        message = worker.receive();
        return message.has_value();
    });
    return *message;
}

JobId Stage::job(FakeWorker& worker) {
    const ipc::Message message = next(worker);
    const auto* job = std::get_if<ipc::Job>(&message);
    if (job == nullptr) {
        throw std::runtime_error("worker " + worker.leaf + " got no job, but message " +
                                 std::to_string(message.index()));
    }
    worker.begin(*job);
    return job->id;
}

bool Stage::hears_nothing(FakeWorker& worker) {
    turn();
    return !worker.receive();
}

void Stage::answer(FakeWorker& worker, JobId id, const std::string& report) {
    const auto before = status().attempts;
    ipc::Done message;
    message.id = id;
    message.report = report;
    worker.send(message);
    until("the end of job " + std::to_string(id), [&] {
        const auto now = status().attempts;
        return now.done + now.failed > before.done + before.failed;
    });
}

void Stage::done(FakeWorker& worker, JobId id) { answer(worker, id, done_report()); }
void Stage::failed(FakeWorker& worker, JobId id) { answer(worker, id, failed_report()); }

void Stage::does_a_job(FakeWorker& worker) {
    const JobId id = submit();
    const JobId got = job(worker);
    if (got != id) {
        throw std::runtime_error("worker " + worker.leaf + " got job " + std::to_string(got));
    }
    done(worker, id);
}

void Stage::gone(FakeWorker& worker) {
    until("the end of worker " + worker.leaf, [&] { return state(worker).empty(); });
}

void Stage::retires(FakeWorker& worker) {
    const ipc::Message message = next(worker);
    if (!std::holds_alternative<ipc::Retire>(message)) {
        throw std::runtime_error("worker " + worker.leaf + " was not retired, but got message " +
                                 std::to_string(message.index()));
    }
    worker.exit(0);
    gone(worker);
}

void Stage::dies(FakeWorker& worker, int signal) {
    worker.hang_up();
    worker.signal(signal);
    gone(worker);
}

void Stage::says(FakeWorker& worker, const std::string& line) {
    until("worker " + worker.leaf + " to say " + line, [&] {
        const std::vector<LogLine> lines = logged("worker.output");
        return std::any_of(lines.begin(), lines.end(), [&](const LogLine& each) {
            return each.fields.at("pid") == std::to_string(worker.pid) &&
                   each.fields.at("line") == line;
        });
    });
}

std::vector<LogLine> Stage::logged(const std::string& event) const {
    std::vector<LogLine> found;
    for (const LogLine& line : log) {
        if (line.event == event) {
            found.push_back(line);
        }
    }
    return found;
}

const Listener::End& Stage::end_of(JobId id) {
    until("the end of job " + std::to_string(id), [&] { return listener.ends.count(id) != 0; });
    REQUIRE(listener.ends[id].size() == 1);
    return listener.ends[id][0];
}

}  // namespace supervise::test
