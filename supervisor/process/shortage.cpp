#include "shortage.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace supervise {

namespace {

struct Shortage {
    int number;
    const char* name;
    const char* advice;
};

// clone(2), execve(2), pipe(2), memfd_create(2), setuid(2), and mkdir(2) in a cgroup file system.
constexpr Shortage shortages[] = {
    {EAGAIN, "EAGAIN",
     "a limit of processes is reached: pids.max of a cgroup above, ulimit -u of the user, "
     "kernel.pid_max or cgroup.max.descendants; raise it, or end processes"},
    {ENOMEM, "ENOMEM", "memory is short on this machine or in a cgroup above; free some"},
    {ENOBUFS, "ENOBUFS", "memory is short on this machine or in a cgroup above; free some"},
    {EMFILE, "EMFILE",
     "the process that starts workers may open no more files; raise ulimit -n (LimitNOFILE=)"},
    {ENFILE, "ENFILE", "this machine may open no more files; raise fs.file-max"},
    {ENOSPC, "ENOSPC", "the kernel has no room for one more cgroup; remove some"},
};

}  // namespace

std::string shortage_of(const Error& error) {
    const auto* const found =
        std::find_if(std::begin(shortages), std::end(shortages), [&error](const Shortage& each) {
            return error.code ==
                   boost::system::error_code(each.number, boost::system::system_category());
        });
    return found == std::end(shortages) ? "" : found->advice;
}

int shortage_number(std::string_view name) {
    const auto* const found =
        std::find_if(std::begin(shortages), std::end(shortages),
                     [name](const Shortage& each) { return name == each.name; });
    return found == std::end(shortages) ? 0 : found->number;
}

}  // namespace supervise
