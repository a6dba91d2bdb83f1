#include "supervisor/process/cgroup_host.hpp"

#include "supervisor/process/cgroup_tree.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;

TEST_CASE("a hybrid host has a folder in each tree, of different paths", "[cgroup]") {
    const HostCgroups host = parse_cgroups(
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        "9:name=systemd:/\n4:memory:/process_api/a3\n1:cpu:/\n0::/\n");
    CHECK(host.v2 == Hierarchy{"/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified"});
    CHECK(host.v1_memory ==
          Hierarchy{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/process_api/a3"});
}

TEST_CASE("a unified host has no v1 memory tree", "[cgroup]") {
    const HostCgroups host = parse_cgroups(
        "25 22 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        "0::/system.slice/supervise.service\n");
    CHECK(host.v2 == Hierarchy{"/sys/fs/cgroup", "/sys/fs/cgroup/system.slice/supervise.service"});
    CHECK_FALSE(host.v1_memory);
}

TEST_CASE("a container sees a part of the tree at its mount", "[cgroup]") {
    const HostCgroups host = parse_cgroups(
        "40 31 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,cpu,memory\n"
        "41 31 0:33 /docker /elsewhere ro - cgroup2 cgroup2 rw\n"
        "42 31 0:33 /docker/ab/in /with\\040blank ro - cgroup2 cgroup2 rw\n",
        "4:cpu,memory:/docker/ab/inner\n0::/docker/abc\n");
    CHECK(host.v1_memory == Hierarchy{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/inner"});
    CHECK(host.v2 == Hierarchy{"/elsewhere", "/elsewhere/abc"});
    const HostCgroups blank = parse_cgroups(
        "42 31 0:33 /docker/ab /with\\040blank ro - cgroup2 cgroup2 rw\n", "0::/docker/ab\n");
    CHECK(blank.v2 == Hierarchy{"/with blank", "/with blank"});
}

TEST_CASE("a group outside of the mount is no folder of ours", "[cgroup]") {
    const std::string mount = "42 31 0:33 /docker/ab /cg ro - cgroup2 cgroup2 rw\n";
    CHECK(parse_cgroups(mount, "0::/docker/abc\n").v2 == Hierarchy{"/cg", std::nullopt});
    CHECK(parse_cgroups(mount, "0::/docker/ab/../x\n").v2 == Hierarchy{"/cg", std::nullopt});
    CHECK(parse_cgroups(mount, "").v2 == Hierarchy{"/cg", std::nullopt});
    CHECK_FALSE(parse_cgroups("rubbish\n1 2 3 - x\n - \n", "::\n:\nx").v2);
}

TEST_CASE("an instance is stale when its process has ended", "[cgroup]") {
    const std::string own = instance_name();
    CHECK_FALSE(is_stale_instance(own));
    CHECK(is_stale_instance(own + "0"));  // the pid lives, but began at another time
    CHECK(is_stale_instance("supervise-2000000000-1"));
    CHECK_FALSE(is_stale_instance("supervise-2000000000-1x"));
    CHECK_FALSE(is_stale_instance("supervise-2000000000"));
    CHECK_FALSE(is_stale_instance("other-2000000000-1"));
}

TEST_CASE("the memory of the host is known", "[cgroup]") {
    CHECK(total_memory() > (std::uint64_t{64} << 20));
}
