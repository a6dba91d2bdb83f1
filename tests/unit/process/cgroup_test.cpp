#include "supervisor/process/cgroup.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "base/control_file.hpp"
#include "cgroup_support.hpp"
#include "supervisor/process/orphans.hpp"
#include "supervisor/process/process_tree.hpp"
#include "supervisor/process/v2_group.hpp"
#include "tests/support/catch.hpp"

namespace fs = std::filesystem;
using namespace supervise;
using namespace supervise::test;

namespace {

bool gone(pid_t pid) {
    const auto facts = facts_of(pid);
    return !facts || facts->state == 'Z';
}

void reap_rest() {
    CHECK(eventually([] {
        reap_orphans([](pid_t) { return false; });
        return children_of(::getpid()).empty();
    }));
}

}  // namespace

TEST_CASE("a lower tier can be asked for, a higher one cannot", "[cgroup]") {
    TestGroups groups;
    const Tier found = groups->tier();
    CAPTURE(letter(found), groups->reason());
    CHECK(groups->reason().empty() == (found == Tier::a));
    const Tier wanted = GENERATE(Tier::a, Tier::b, Tier::c, Tier::d);
    groups->remove_all();
    groups.open(wanted);
    if (wanted == Tier::c || wanted == Tier::d) {  // to be had everywhere
        CHECK(groups->tier() == wanted);
        CHECK_THAT(groups->reason(),
                   ContainsSubstring(std::string("tier ") + letter(wanted) + " was asked for"));
    } else {
        CHECK(groups->tier() >= std::max(found, wanted));
    }
    CHECK(groups->features().size() >= 5);
    CHECK(groups->memory_limit() > 0);
    CHECK(groups->memory_limit() <= total_memory());
}

TEST_CASE("a worker is born into a leaf of its own, which goes without trace", "[cgroup]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    const std::string place = TestGroups::root() + '/' + instance_name() + "/mail/1.1";
    auto leaf = groups->make_leaf("mail", "1.1", {}).value();
    const std::string seen = capture(in(*leaf, shell("cat /proc/self/cgroup"))).output;
    CHECK_THAT(seen, ContainsSubstring("0::" + place + '\n'));
    if (groups->tier() == Tier::b) {
        CHECK_THAT(seen, ContainsSubstring("memory:" + place + '\n'));
    }
    CHECK_FALSE(leaf->populated());
    CHECK(leaf->remove().has_value());
    for (const std::string& folder : groups.folders()) {
        CHECK_FALSE(fs::exists(folder.substr(0, folder.rfind('/')) + place));
        CHECK(fs::exists(folder));
    }
    leaf.reset();
    groups->remove_all();
    for (const std::string& folder : groups.folders()) {
        CHECK_FALSE(fs::exists(folder));
    }
}

TEST_CASE("fork, too, ends in the leaf", "[cgroup]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    auto leaf = groups->make_leaf("mail", "1.1", {}).value();
    without_system_calls({435 /* clone3 */}, [&leaf] {
        CHECK_THAT(
            capture(in(*leaf, shell("cat /proc/self/cgroup"))).output,
            ContainsSubstring("0::" + TestGroups::root() + '/' + instance_name() + "/mail/1.1\n"));
    });
    CHECK(leaf->remove().has_value());
}

TEST_CASE("a leaf is never given out twice and its name stays inside", "[cgroup]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    auto leaf = groups->make_leaf("mail", "1.1", {}).value();
    CHECK(groups->make_leaf("mail", "1.1", {}).error().code.value() == EEXIST);
    CHECK(groups->make_leaf("mail", "../x", {}).error().code.value() == EINVAL);
    CHECK(groups->make_leaf("..", "x", {}).error().code.value() == EINVAL);
    CHECK(groups->make_leaf("", "x", {}).error().code.value() == EINVAL);
    CHECK(leaf->remove().has_value());
}

TEST_CASE("a leaf that cannot be made in one tree is not left in the other", "[cgroup]") {
    TestGroups groups;
    if (groups->tier() != Tier::b) {
        SUPERVISE_SKIP("has one tree only");
    }
    const std::string place = '/' + instance_name() + "/mail/1.1";
    fs::create_directories(groups.folders()[1] + place);
    CHECK(groups->make_leaf("mail", "1.1", {}).error().code.value() == EEXIST);
    CHECK_FALSE(fs::exists(groups.folders()[0] + place));
}

TEST_CASE("a leaf that was removed under a launch is named", "[cgroup]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    auto leaf = groups->make_leaf("mail", "1.1", {}).value();
    CHECK(leaf->remove().has_value());
    LaunchSpec spec = shell("exit 0");
    spec.cgroup_dir = leaf->cgroup_dir();
    CHECK_THAT(launch_error(spec), ContainsSubstring("join cgroup /"));
}

TEST_CASE("kill_all takes a worker with all its descendants", "[cgroup]") {
    become_subreaper();
    const Tier tier = GENERATE(Tier::a, Tier::c, Tier::d);
    TestGroups groups(tier);
    CAPTURE(letter(groups->tier()));
    auto leaf = groups->make_leaf("mail", "1.1", {}).value();
    Pipe pipe = make_pipe();
    LaunchSpec spec = in(*leaf, shell("setsid sh -c 'echo $$; trap \"\" TERM; sleep 1000' &\n"
                                      "sh -c 'setsid sh -c \"echo \\$\\$; sleep 1001\" & wait' &\n"
                                      "sh -c 'sh -c \"echo \\$\\$; exec sleep 1002\" &'\n"
                                      "wait; exec sleep 1003"));
    spec.out = pipe.writer.get();
    Launched child = launch(std::move(spec));
    pipe.writer.reset();
    leaf->attach(child.pid);
    std::vector<pid_t> others;
    for (int i = 0; i < 3; ++i) {
        others.push_back(std::stoi(read_line(pipe.reader.get())));
    }
    CHECK(leaf->populated());
    if (groups.real()) {
        CHECK(leaf->remove().error().code.value() == EBUSY);
    }
    CHECK(leaf->kill_all(child.pid).has_value());
    CHECK(wait(std::move(child)).value == SIGKILL);
    CHECK(eventually([&others] { return std::all_of(others.begin(), others.end(), gone); }));
    reap_rest();
    CHECK_FALSE(leaf->populated());
    CHECK(leaf->remove().has_value());
}

TEST_CASE("without cgroup.kill a group is killed process by process", "[cgroup]") {
    become_subreaper();
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    auto leaf = groups->make_leaf("mail", "1.1", {}).value();
    const std::string path = "/proc/self/fd/" + std::to_string(leaf->cgroup_dir());
    V2Group group = V2Group::open(fs::read_symlink(path)).value();
    Launched child = launch(in(*leaf, shell("while :; do setsid sleep 1000 & done")));
    const pid_t pid = child.pid;
    CHECK(eventually([pid] { return children_of(pid).size() > 30; }));
    CHECK(group.kill_one_by_one().has_value());
    CHECK(wait(std::move(child)).value == SIGKILL);
    reap_rest();
    CHECK_FALSE(group.populated());
    CHECK(leaf->remove().has_value());
}

TEST_CASE("empty groups of a dead supervisor are removed, living and foreign ones are left",
          "[cgroup]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    const std::string root = groups.folders().front();
    const std::string empty = root + "/supervise-2000000000-1";
    const std::string busy = root + "/supervise-2000000001-1";
    const std::string foreign = root + "/somebody";
    fs::create_directories(empty + "/mail/1.1");
    fs::create_directories(busy);
    fs::create_directories(foreign);
    const UniqueFd dir(::open(busy.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    LaunchSpec spec = shell("exec sleep 1000");
    spec.cgroup_dir = dir.get();
    Launched child = launch(std::move(spec));
    groups.open();
    CHECK_FALSE(fs::exists(empty));
    CHECK(fs::exists(busy));
    CHECK(fs::exists(foreign));
    std::sort(groups.log.begin(), groups.log.end());
    CHECK(groups.log ==
          std::vector<std::string>{"cgroup.stale_left " + busy, "cgroup.stale_removed " + empty});
    ::kill(child.pid, SIGKILL);
    wait(std::move(child));
    CHECK(::rmdir(busy.c_str()) == 0);
    CHECK(::rmdir(foreign.c_str()) == 0);
}

TEST_CASE("a root that was there before stays", "[cgroup]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    groups.open();  // the first one's root is there
    groups->remove_all();
    for (const std::string& folder : groups.folders()) {
        CHECK(fs::exists(folder));
        CHECK(groups_in(folder).empty());
    }
}

TEST_CASE("without a root the supervisor makes room in its own group and goes back at the end",
          "[cgroup]") {
    if (TestGroups()->tier() != Tier::a) {
        SUPERVISE_SKIP("needs cgroup v2 with the memory controller");
    }
    const std::string own = find_cgroups().v2->own.value();
    const auto procs = [&own] {
        return read_control_file(AT_FDCWD, own + "/cgroup.procs").value();
    };
    if (procs() != std::to_string(::getpid()) + '\n') {
        SUPERVISE_SKIP("needs a group to itself, as in a systemd unit");
    }
    const auto groups = open_cgroups(std::nullopt, std::nullopt, Logger());
    CAPTURE(groups->reason());
    REQUIRE(groups->tier() == Tier::a);
    CHECK(find_cgroups().v2->own == own + "/supervisor");
    CHECK(procs().empty());
    auto leaf = groups->make_leaf("mail", "1.1", {std::uint64_t{100} << 20}).value();
    CHECK_THAT(capture(in(*leaf, shell("cat /proc/self/cgroup"))).output,
               ContainsSubstring('/' + instance_name() + "/mail/1.1\n"));
    CHECK(leaf->remove().has_value());
    CHECK(groups->memory_limit() > 0);
    groups->remove_all();
    CHECK(find_cgroups().v2->own == own);
    CHECK(groups_in(own).empty());
}

TEST_CASE("a group with strangers in it is left as it is", "[cgroup]") {
    if (TestGroups()->tier() != Tier::a) {
        SUPERVISE_SKIP("needs cgroup v2 with the memory controller");
    }
    const std::string own = find_cgroups().v2->own.value();
    Launched stranger = launch(shell("exec sleep 1000"));
    const auto groups = open_cgroups(std::nullopt, std::nullopt, Logger());
    CHECK(groups->tier() != Tier::a);
    CHECK_THAT(groups->reason(), ContainsSubstring("other processes share our group " + own));
    CHECK(find_cgroups().v2->own == own);
    ::kill(stranger.pid, SIGKILL);
    wait(std::move(stranger));
}
