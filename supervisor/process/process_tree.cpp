#include "process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <memory>
#include <set>
#include <string>

#include "base/control_file.hpp"

namespace supervise {
namespace {

/// The entries of a /proc folder whose names are numbers.
std::vector<pid_t> numbers_in(const std::string& path) {
    std::vector<pid_t> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    while (dir) {
        const dirent* entry = ::readdir(dir.get());
        if (entry == nullptr) {
            break;
        }
        const std::string_view name = entry->d_name;
        pid_t number = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
        if (error == std::errc{} && end == name.data() + name.size()) {
            out.push_back(number);
        }
    }
    return out;
}

bool kernel_lists_children() {  // CONFIG_PROC_CHILDREN
    static const bool listed = ::access("/proc/thread-self/children", R_OK) == 0;
    return listed;
}

std::vector<pid_t> children_by_scan(pid_t parent) {
    std::vector<pid_t> out;
    for (const pid_t pid : numbers_in("/proc")) {
        const auto facts = facts_of(pid);
        if (facts && facts->parent == parent) {
            out.push_back(pid);
        }
    }
    return out;
}

/// Stops `pid` if it is (still) the child of `parent`. Only the pidfd makes sure that the one whose
/// parent was looked up is the one that is stopped.
bool stop_child(pid_t pid, pid_t parent) {
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) {
        return false;
    }
    const auto facts = facts_of(pid);
    const bool ours = facts && facts->parent == parent;
    if (ours) {
        ::syscall(SYS_pidfd_send_signal, pidfd, SIGSTOP, nullptr, 0);
    }
    ::close(pidfd);
    return ours;
}

/// Stops what is below `parent` and not in `stopped` yet; true when there was something.
bool stop_below(pid_t parent, std::set<pid_t>& stopped) {
    bool grown = false;
    std::vector<pid_t> open{parent};
    while (!open.empty()) {
        const pid_t at = open.back();
        open.pop_back();
        for (const pid_t child : children_of(at)) {
            if (stopped.count(child) == 0) {
                if (!stop_child(child, at)) {
                    continue;
                }
                stopped.insert(child);
                grown = true;
            }
            open.push_back(child);
        }
    }
    return grown;
}

/// Our children that lead back to `leader` by their session only: their parents have gone.
bool stop_orphans(pid_t leader, std::set<pid_t>& stopped) {
    bool grown = false;
    for (const pid_t pid : children_of(::getpid())) {
        if (pid == leader || stopped.count(pid) != 0 || ::getsid(pid) != leader) {
            continue;
        }
        ::kill(pid, SIGSTOP);  // a child of ours that we have not reaped: its pid is its own
        stopped.insert(pid);
        grown = true;
    }
    return grown;
}

}  // namespace

std::optional<ProcessFacts> facts_of(pid_t pid) {
    const auto text = read_control_file(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat");
    if (!text) {
        return std::nullopt;
    }
    // "PID (NAME) STATE PPID PGRP SESSION ..."; NAME may hold anything, even ") R 1".
    const std::size_t name_end = text->rfind(')');
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    ProcessFacts out;
    const int got = std::sscanf(text->c_str() + name_end + 1,
                                " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                                "%*d %*d %llu",
                                &out.state, &out.parent, &out.group, &out.session, &out.start_time);
    return got == 5 ? std::optional(out) : std::nullopt;
}

std::vector<pid_t> children_of(pid_t pid) {
    if (!kernel_lists_children()) {
        return children_by_scan(pid);
    }
    std::vector<pid_t> out;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const pid_t thread : numbers_in(tasks)) {
        const auto text =
            read_control_file(AT_FDCWD, tasks + '/' + std::to_string(thread) + "/children");
        if (!text) {
            continue;  // the thread has ended
        }
        const char* at = text->data();
        const char* const end = at + text->size();
        pid_t child = 0;
        for (;;) {
            const auto [next, error] = std::from_chars(at, end, child);
            if (error != std::errc{}) {
                break;
            }
            out.push_back(child);
            at = next;
            while (at != end && *at == ' ') {
                ++at;
            }
        }
    }
    return out;
}

void kill_tree(pid_t leader) {
    // Stop all, then kill all: a tree that is killed while it runs hands its newest branches to
    // init. A stopped process neither forks nor reaps, so every pid found stays what it is until
    // killed.
    ::kill(leader, SIGSTOP);
    std::set<pid_t> stopped;
    constexpr int rounds = 100;  // a tree that forks faster than we look must not hold us for ever
    for (int round = 0; round < rounds; ++round) {
        bool grown = stop_below(leader, stopped);
        grown = stop_orphans(leader, stopped) || grown;
        for (const pid_t pid : std::set<pid_t>(stopped)) {
            grown = stop_below(pid, stopped) || grown;
        }
        if (!grown) {
            break;
        }
    }
    ::killpg(leader, SIGKILL);
    ::kill(leader, SIGKILL);
    for (const pid_t pid : stopped) {
        ::kill(pid, SIGKILL);
    }
}

}  // namespace supervise
