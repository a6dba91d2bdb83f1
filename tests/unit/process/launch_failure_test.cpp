#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "supervisor/process/process_tree.hpp"
#include "support.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

LaunchSpec with(void (*change)(LaunchSpec&)) {
    LaunchSpec spec = shell("exit 0");
    change(spec);
    return spec;
}

class TemporaryFolder {
  public:
    TemporaryFolder() {
        char path[] = "/tmp/supervise-test-XXXXXX";
        path_ = ::mkdtemp(path);
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    std::string operator/(const std::string& name) const { return path_ + '/' + name; }

  private:
    std::string path_;
};

}  // namespace

TEST_CASE("a failed launch names the step and leaves nothing", "[launcher]") {
    const auto before = open_descriptors();
    CHECK(launch_error(with([](LaunchSpec& spec) { spec.argv = {"/no/such/python"}; })) ==
          "exec /no/such/python: No such file or directory");
    CHECK(launch_error(with([](LaunchSpec& spec) {
              spec.argv = {"no-such-python"};
              spec.environment = {"PATH=/bin:/usr/bin"};
          })) == "find program no-such-python in PATH=/bin:/usr/bin: No such file or directory");
    CHECK(launch_error(with([](LaunchSpec& spec) { spec.argv = {"/etc/passwd"}; })) ==
          "exec /etc/passwd: Permission denied");
    CHECK(launch_error(with([](LaunchSpec& spec) { spec.argv = {}; })) ==
          "exec an empty command line: Invalid argument");
    CHECK(launch_error(with([](LaunchSpec& spec) { spec.directory = "/no/such"; })) ==
          "change directory to /no/such: No such file or directory");
    CHECK(launch_error(with([](LaunchSpec& spec) { spec.oom_score_adj = 5000; })) ==
          "set oom_score_adj 5000: Invalid argument");
    CHECK(launch_error(with([](LaunchSpec& spec) {
              spec.limits = {{RLIMIT_CORE, "core", 0}, {RLIMIT_NOFILE, "nofile", 1ULL << 40}};
          })) == "set limit nofile to 1099511627776: Operation not permitted");
    CHECK(launch_error(with([](LaunchSpec& spec) { spec.err = 9999; })) ==
          "set up descriptors: Bad file descriptor");
    CHECK(open_descriptors() == before);
    CHECK(children_of(::getpid()).empty());
}

TEST_CASE("a script whose interpreter is missing is told from a missing script", "[launcher]") {
    const TemporaryFolder folder;
    LaunchSpec spec = shell("");
    spec.argv = {folder / "tool"};
    std::ofstream(spec.argv[0]) << "#!/no/such/interpreter\n";
    ::chmod(spec.argv[0].c_str(), 0755);
    CHECK(launch_error(spec) ==
          "exec " + spec.argv[0] +
              " (the interpreter in its first line is missing): No such file or directory");
}

TEST_CASE("a v1 group that cannot be joined is named", "[launcher]") {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    LaunchSpec spec = shell("exit 0");
    spec.cgroup_v1_tasks = full.get();
    CHECK(launch_error(spec) == "join cgroup /dev/full: No space left on device");
}

TEST_CASE("a folder that is no cgroup is named", "[launcher]") {
    const UniqueFd folder(::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    LaunchSpec spec = shell("exit 0");
    spec.cgroup_dir = folder.get();
    CHECK(launch_error(spec) == "join cgroup /tmp: Bad file descriptor");
    without_system_calls({SYS_clone3}, [&spec] {
        CHECK(launch_error(spec) == "join cgroup /tmp: No such file or directory");
    });
}

TEST_CASE("a change of user without the right to it says so", "[launcher]") {
    if (::geteuid() != 0) {
        SUPERVISE_SKIP("needs root");
    }
    std::thread([] {
        // The raw call changes this thread alone.
        ::syscall(SYS_setresgid, 65534, 65534, 65534);
        ::syscall(SYS_setresuid, 65534, 65534, 65534);
        CHECK(launch_error(with([](LaunchSpec& spec) { spec.uid = 1; })) ==
              "set supplementary groups: Operation not permitted");
        CHECK(launch_error(with([](LaunchSpec& spec) { spec.gid = 1; })) ==
              "change to group 1: Operation not permitted");
    }).join();
    CHECK(children_of(::getpid()).empty());
}

TEST_CASE("a folder or program closed to the worker's user is told with that user", "[launcher]") {
    if (::geteuid() != 0) {
        SUPERVISE_SKIP("needs root");
    }
    const TemporaryFolder folder;  // mkdtemp: mode 0700
    LaunchSpec spec = shell("exit 0");
    spec.uid = 65534;
    spec.gid = 65534;
    spec.directory = folder / ".";
    CHECK(launch_error(spec) ==
          "change directory to " + spec.directory + " as user 65534: Permission denied");
    spec.directory = "/";
    spec.argv = {folder / "sh"};
    std::filesystem::copy_file("/bin/true", spec.argv[0]);
    CHECK(launch_error(spec) == "exec " + spec.argv[0] + " as user 65534: Permission denied");
}
