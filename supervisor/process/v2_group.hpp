#pragma once

#include <string>

#include "base/unique_fd.hpp"
#include "supervise/error.hpp"

namespace supervise {

/// One cgroup v2 folder with its core files: birth place, kill, populated. Tiers A and B both have
/// it.
class V2Group {
  public:
    static Result<V2Group> open(const std::string& path);

    int dir() const { return dir_.get(); }
    const std::string& path() const { return path_; }
    /// SIGKILL to all in it and below it: cgroup.kill, or on Linux before 5.14 kill_one_by_one().
    Result<void> kill();
    /// Freezes the group so that nobody in it can fork, and kills by cgroup.procs.
    Result<void> kill_one_by_one();
    bool populated() const;
    /// rmdir of it and of what its processes have made in it.
    Result<void> remove();

  private:
    V2Group(std::string path, UniqueFd dir) : path_(std::move(path)), dir_(std::move(dir)) {}
    std::string path_;
    UniqueFd dir_;
};

}  // namespace supervise
