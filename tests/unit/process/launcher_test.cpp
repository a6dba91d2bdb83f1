#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "base/control_file.hpp"
#include "supervisor/process/process_tree.hpp"
#include "support.hpp"
#include "tests/support/catch.hpp"

namespace asio = boost::asio;
using namespace supervise;
using namespace supervise::test;

namespace {

/// Prints a line for each descriptor that the program was started with. (listdir's own is gone by
/// then)
const std::string list_descriptors =
    "import os\n"
    "for fd in sorted(map(int, os.listdir('/proc/self/fd'))):\n"
    "    try: print(fd, os.readlink('/proc/self/fd/%d' % fd).split(':')[0])\n"
    "    except OSError: pass\n";

}  // namespace

TEST_CASE("a program is looked up in the PATH of the new environment", "[launcher]") {
    LaunchSpec spec = shell("");
    spec.argv = {"sh", "-c", "echo $0 $#", "name", "a b"};
    const Captured got = capture(spec);
    CHECK(got.status.clean());
    CHECK(got.output == "name 1\n");
    CHECK(find_program("sh", "/nowhere:/bin").value() == "/bin/sh");
    CHECK(find_program("/bin/true", "").value() == "/bin/true");
    CHECK(find_program("sub/tool", "/bin").value().front() == '/');
    CHECK(find_program("sh", "/nowhere").error().code.value() == ENOENT);
}

TEST_CASE("a child gets exactly the environment that it is given", "[launcher]") {
    LaunchSpec spec = shell("");
    spec.argv = {"/usr/bin/env"};
    spec.environment = {"PATH=/bin", "EMPTY=", "TEXT=a b=c"};
    CHECK(capture(spec).output == "PATH=/bin\nEMPTY=\nTEXT=a b=c\n");
}

TEST_CASE("a child leads a session and a process group of its own", "[launcher]") {
    const Captured got =
        capture(python("import os; print(os.getpid() == os.getsid(0) == os.getpgid(0))"));
    CHECK(got.output == "True\n");
}

TEST_CASE("no descriptor leaks into a child", "[launcher]") {
    std::vector<UniqueFd> others;
    for (int i = 0; i < 50; ++i) {
        others.emplace_back(::open("/dev/zero", i % 2 == 0 ? O_RDONLY : O_RDONLY | O_CLOEXEC));
    }
    CHECK(capture(python(list_descriptors)).output == "0 /dev/null\n1 pipe\n2 pipe\n");
    SECTION("and a channel becomes descriptor 3") {
        LaunchSpec spec = python(list_descriptors);
        spec.channel = others[4].get();
        CHECK(capture(spec).output == "0 /dev/null\n1 pipe\n2 pipe\n3 /dev/zero\n");
    }
    SECTION("where close_range is not to be had, either") {
        without_system_calls({SYS_close_range}, [] {
            CHECK(capture(python(list_descriptors)).output == "0 /dev/null\n1 pipe\n2 pipe\n");
        });
    }
}

TEST_CASE("descriptors that collide with their targets are moved out of the way", "[launcher]") {
    // In a child of ours, because 0 to 3 are to be closed and replaced.
    Pipe pipe = make_pipe();
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        const int result = ::fcntl(pipe.writer.get(), F_DUPFD_CLOEXEC, 10);
        for (int fd = 0; fd < 4; ++fd) {
            ::close(fd);
        }
        ::dup2(result, 2);                               // stdout is to be what is 2 now,
        const int zero = ::open("/dev/zero", O_RDONLY);  // 0: stderr,
        const int full = ::open("/dev/full", O_RDONLY);  // 1: the channel
        LaunchSpec spec = python(list_descriptors);
        spec.out = 2;
        spec.err = zero;
        spec.channel = full;
        Launched launched = launch(std::move(spec));
        ::_exit(zero == 0 && full == 1 && wait(std::move(launched)).clean() ? 0 : 1);
    }
    pipe.writer.reset();
    std::string text;
    for (std::string line = read_line(pipe.reader.get()); !line.empty();
         line = read_line(pipe.reader.get())) {
        text += line + '\n';
    }
    int status = -1;
    ::waitpid(pid, &status, 0);
    CHECK(status == 0);
    CHECK(text == "0 /dev/null\n1 pipe\n2 /dev/zero\n3 /dev/full\n");
}

TEST_CASE("signals of a child are default and none is blocked", "[launcher]") {
    struct sigaction before {};
    struct sigaction ignored {};
    ignored.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignored, &before);
    sigset_t blocked;
    sigset_t mask_before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &mask_before);
    // cat, because a shell or Python would set signals by itself
    LaunchSpec spec = shell("");
    spec.argv = {"cat", "/proc/self/status"};
    const Captured got = capture(spec);
    sigset_t mask_after;
    ::pthread_sigmask(SIG_SETMASK, &mask_before, &mask_after);
    ::sigaction(SIGPIPE, &before, nullptr);
    CHECK_THAT(got.output, ContainsSubstring("SigBlk:\t0000000000000000\n"
                                             "SigIgn:\t0000000000000000\n"
                                             "SigCgt:\t0000000000000000\n"));
    CHECK(::sigismember(&mask_after, SIGTERM) == 1);  // ours is as it was
    CHECK(::sigismember(&mask_after, SIGINT) == 0);
}

TEST_CASE("umask, limits, directory and oom_score_adj are set", "[launcher]") {
    LaunchSpec spec =
        shell("umask; ulimit -n; ulimit -Hn; ulimit -c; pwd; cat /proc/self/oom_score_adj");
    spec.umask = 027;
    spec.limits = {{RLIMIT_NOFILE, "nofile", 123}, {RLIMIT_CORE, "core", 0}};
    spec.directory = "/usr";
    spec.oom_score_adj = 517;
    CHECK(capture(spec).output == "0027\n123\n123\n0\n/usr\n517\n");
}

TEST_CASE("an oom_score_adj below what cannot be lowered stays as it is", "[launcher]") {
    // A pod starts like this: a high value set by its runtime, and no CAP_SYS_RESOURCE.
    Pipe pipe = make_pipe();
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        const bool raised =
            write_control_file(AT_FDCWD, "/proc/self/oom_score_adj", "700").has_value();
        LaunchSpec spec = shell("cat /proc/self/oom_score_adj");
        spec.oom_score_adj = -900;
        spec.out = pipe.writer.get();
        ::_exit(raised && wait(launch(std::move(spec))).clean() ? 0 : 1);
    }
    int status = -1;
    ::waitpid(pid, &status, 0);
    CHECK(status == 0);
    const auto self = read_control_file(AT_FDCWD, "/proc/self/status").value();
    const std::string capabilities = self.substr(self.find("CapEff:\t") + 8, 16);
    constexpr int cap_sys_resource = 24;
    const bool may = (std::stoull(capabilities, nullptr, 16) >> cap_sys_resource & 1) != 0;
    CHECK(read_line(pipe.reader.get()) == (may ? "-900" : "700"));
}

TEST_CASE("a child may run as another user", "[launcher]") {
    if (::geteuid() != 0) {
        SUPERVISE_SKIP("needs root");
    }
    LaunchSpec spec = python(
        "import os; print(os.getresuid(), os.getresgid(), os.getgroups(), "
        "open('/proc/self/comm').read().strip())");
    spec.uid = 65534;
    spec.gid = 65534;
    spec.groups = {65534, 4242};
    CHECK(capture(spec).output ==
          "(65534, 65534, 65534) (65534, 65534, 65534) [4242, 65534] python3\n");
}

TEST_CASE("fork takes over where clone3 is refused", "[launcher]") {
    const auto before = open_descriptors();
    without_system_calls({SYS_clone3}, [] {
        CHECK(capture(python("import os; print(os.getpid() == os.getsid(0))")).output == "True\n");
        CHECK_THAT(launch_error([] {
                       LaunchSpec spec = shell("");
                       spec.directory = "/no/such/folder";
                       return spec;
                   }()),
                   ContainsSubstring("change directory to /no/such/folder: No such file"));
    });
    CHECK(open_descriptors() == before);
    CHECK(children_of(::getpid()).empty());
}

TEST_CASE("a hundred launches leave neither zombie nor descriptor", "[launcher]") {
    const auto before = open_descriptors();
    for (int i = 0; i < 50; ++i) {
        CHECK(wait(launch(shell("exit 0"))).clean());
        LaunchSpec bad = shell("");
        bad.argv = {"/no/such/program"};
        CHECK_FALSE(launch_error(bad).empty());
    }
    CHECK(open_descriptors() == before);
    CHECK(children_of(::getpid()).empty());
}

TEST_CASE("a cancelled launch leaves neither process nor zombie", "[launcher]") {
    const auto before = open_descriptors();
    for (int steps = 0; steps < 3; ++steps) {
        asio::io_context io(1);
        asio::cancellation_signal cancel;
        std::exception_ptr failure;
        bool ended = false;
        bool launched = false;
        asio::co_spawn(io, system_launcher().launch(shell("exec sleep 1000")),
                       asio::bind_cancellation_slot(
                           cancel.slot(), [&](std::exception_ptr error, Result<Launched> result) {
                               ended = true;
                               failure = error;
                               launched = !error && result.has_value();
                           }));
        for (int i = 0; i < steps; ++i) {
            io.poll_one();
        }
        REQUIRE_FALSE(ended);
        const auto children = children_of(::getpid());
        if (!children.empty()) {
            CHECK(is_being_launched(children.front()));
        }
        cancel.emit(asio::cancellation_type::terminal);
        io.run_for(std::chrono::seconds(30));
        REQUIRE(ended);
        CHECK_FALSE(launched);
        REQUIRE(failure);
        try {
            std::rethrow_exception(failure);
        } catch (const boost::system::system_error& error) {
            CHECK(error.code() == asio::error::operation_aborted);
        }
        CHECK(children_of(::getpid()).empty());
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("a launch that is torn down with its loop kills the child", "[launcher]") {
    pid_t pid = 0;
    {
        asio::io_context io(1);
        asio::co_spawn(io, system_launcher().launch(shell("exec sleep 1000")),
                       [](std::exception_ptr, Result<Launched>) {});
        io.poll_one();
        const auto children = children_of(::getpid());
        REQUIRE(children.size() == 1);
        pid = children.front();
    }
    CHECK_FALSE(is_being_launched(pid));
    int status = 0;
    CHECK(::waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status));
}
