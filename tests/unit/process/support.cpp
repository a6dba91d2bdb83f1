#include "support.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <memory>
#include <thread>

namespace supervise::test {
namespace asio = boost::asio;

namespace {

asio::awaitable<int> wait_in(Launched launched, ExitStatus& status) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    ChildProcess child(executor, launched.pid, std::move(launched.pidfd));
    status = co_await child.wait();
    co_return 0;
}

LaunchSpec command(std::vector<std::string> argv) {
    LaunchSpec spec;
    spec.argv = std::move(argv);
    spec.environment = {"PATH=/usr/local/bin:/usr/bin:/bin"};
    spec.directory = "/";
    return spec;
}

}  // namespace

Pipe make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) {
        throw std::runtime_error("pipe2");
    }
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

LaunchSpec shell(const std::string& script) { return command({"/bin/sh", "-c", script}); }

// Debian's own, not a version manager's script that would start processes of its own.
LaunchSpec python(const std::string& script) {
    return command({"/usr/bin/python3", "-S", "-E", "-c", script});
}

Launched launch(LaunchSpec spec) { return run(system_launcher().launch(std::move(spec))).value(); }

std::string launch_error(LaunchSpec spec) {
    auto result = run(system_launcher().launch(std::move(spec)));
    if (result) {
        wait(std::move(*result));
        return "";
    }
    return result.error().message();
}

Captured capture(LaunchSpec spec) {
    Pipe pipe = make_pipe();
    spec.out = pipe.writer.get();
    spec.err = pipe.writer.get();
    Launched launched = launch(std::move(spec));
    pipe.writer.reset();
    Captured out;
    char block[4096];
    for (ssize_t got = 1; got > 0;) {
        got = ::read(pipe.reader.get(), block, sizeof block);
        out.output.append(block, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }
    out.status = wait(std::move(launched));
    return out;
}

std::string read_line(int fd) {
    std::string line;
    char c = 0;
    while (::read(fd, &c, 1) == 1 && c != '\n') {
        line += c;
    }
    return line;
}

ExitStatus wait(Launched launched) {
    ExitStatus status;
    run(wait_in(std::move(launched), status));
    return status;
}

std::vector<int> open_descriptors() {
    std::vector<int> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/self/fd"), ::closedir);
    while (const dirent* entry = ::readdir(dir.get())) {
        if (entry->d_name[0] != '.' && std::stoi(entry->d_name) != ::dirfd(dir.get())) {
            out.push_back(std::stoi(entry->d_name));
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

bool eventually(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
}

void without_system_calls(const std::vector<int>& numbers, const std::function<void()>& act) {
    std::exception_ptr failure;
    std::thread([&] {
        std::vector<sock_filter> filter{
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
        for (const int number : numbers) {
            filter.push_back(
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
            filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
        }
        filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
        try {
            // A filter without SECCOMP_FILTER_FLAG_TSYNC holds for this thread and its children.
            if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
                throw std::runtime_error("cannot install a seccomp filter");
            }
            act();
        } catch (...) {
            failure = std::current_exception();
        }
    }).join();
    if (failure) {
        std::rethrow_exception(failure);
    }
}

}  // namespace supervise::test
