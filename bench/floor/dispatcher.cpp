// The bench's floor: the least that a process can do which gives jobs to Python workers. One epoll
// loop, a SOCK_SEQPACKET pair for each worker, 32 bytes a job. No decoding, no job table, no
// clients, no limits, no supervision: what a real dispatcher costs is to be seen beside it.
//
//     dispatcher rate|latency WORKERS JOBS WINDOW MS PYTHON ECHO_PY
//
// rate: WINDOW jobs outstanding a worker. latency: one job at a time in all. MS: what each job
// sleeps (0..255). Prints one JSON object; any error ends it with a message and exit code 1.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Frame = std::array<unsigned char, 32>;

[[noreturn]] void fail(const char* step) {
    std::perror(step);
    std::exit(1);
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

double own_cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Worker {
    int channel = -1;
    pid_t pid = -1;
};

Worker start(const char* python, const char* echo) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        fail("socketpair");
    const pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0) {
        if (dup2(ends[1], 3) != 3)
            fail("dup2");
        execlp(python, python, echo, nullptr);
        fail(python);
    }
    close(ends[1]);
    return {ends[0], pid};
}

void send_job(const Worker& worker, std::uint64_t number, unsigned char ms) {
    Frame frame{};
    std::memcpy(frame.data(), &number, sizeof number);
    frame[8] = ms;
    if (send(worker.channel, frame.data(), frame.size(), MSG_NOSIGNAL) < 0)
        fail("send");
}

/// False when there is nothing to read now.
bool receive(const Worker& worker, int flags) {
    Frame frame{};
    const ssize_t size = recv(worker.channel, frame.data(), frame.size(), flags);
    if (size > 0)
        return true;
    if (size < 0 && errno == EAGAIN)
        return false;
    if (size == 0)
        errno = ECONNRESET;
    fail("recv");
}

void run_rate(const std::vector<Worker>& workers, std::uint64_t jobs, unsigned window,
              unsigned char ms) {
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0)
        fail("epoll_create1");
    for (const Worker& worker : workers) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = const_cast<Worker*>(&worker);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, worker.channel, &event) != 0)
            fail("epoll_ctl");
    }
    const auto started = Clock::now();
    const double cpu_before = own_cpu_seconds();
    std::uint64_t sent = 0;
    std::uint64_t done = 0;
    for (unsigned i = 0; i < window; ++i) {
        for (const Worker& worker : workers) {
            if (sent < jobs)
                send_job(worker, sent++, ms);
        }
    }
    std::array<epoll_event, 64> events{};
    while (done < jobs) {
        const int count = epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
        if (count < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < count; ++i) {
            const Worker& worker =
                *static_cast<Worker*>(events[static_cast<std::size_t>(i)].data.ptr);
            while (receive(worker, MSG_DONTWAIT)) {
                ++done;
                if (sent < jobs)
                    send_job(worker, sent++, ms);
            }
        }
    }
    const double seconds = seconds_between(started, Clock::now());
    std::printf("{\"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", seconds,
                own_cpu_seconds() - cpu_before);
    close(poll);
}

void run_latency(const std::vector<Worker>& workers, std::uint64_t jobs) {
    std::vector<double> times;
    times.reserve(jobs);
    for (std::uint64_t number = 0; number < jobs; ++number) {
        const Worker& worker = workers[number % workers.size()];
        const auto started = Clock::now();
        send_job(worker, number, 0);
        receive(worker, 0);
        times.push_back(seconds_between(started, Clock::now()));
    }
    std::printf("{\"times\": [");
    for (std::size_t i = 0; i < times.size(); ++i) {
        std::printf("%s%.7f", i == 0 ? "" : ", ", times[i]);
    }
    std::printf("]}\n");
}

std::uint64_t number_of(const char* text) {
    char* end = nullptr;
    const std::uint64_t value = std::strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        std::fprintf(stderr, "not a number: %s\n", text);
        std::exit(64);
    }
    return value;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) {
        std::fprintf(stderr,
                     "usage: dispatcher rate|latency WORKERS JOBS WINDOW MS PYTHON ECHO_PY\n");
        return 64;
    }
    const std::string_view mode = argv[1];
    const std::uint64_t wanted = std::max<std::uint64_t>(number_of(argv[2]), 1);
    std::vector<Worker> workers;
    while (workers.size() < wanted)
        workers.push_back(start(argv[6], argv[7]));
    for (const Worker& worker : workers)
        receive(worker, 0);  // "ready"
    if (mode == "rate") {
        run_rate(workers, number_of(argv[3]), static_cast<unsigned>(number_of(argv[4])),
                 static_cast<unsigned char>(number_of(argv[5])));
    } else {
        run_latency(workers, number_of(argv[3]));
    }
    for (const Worker& worker : workers)
        close(worker.channel);
    for (const Worker& worker : workers)
        waitpid(worker.pid, nullptr, 0);
    return 0;
}
