#pragma once

#include <cstdint>

#include "base/unique_fd.hpp"
#include "supervise/error.hpp"
#include "supervise/job.hpp"

namespace supervise {

/// Sixteen bytes that a worker shares with us (memfd_create(2)): it writes there which attempt it
/// is about to run, so that after its death we know whether its last job had begun. Its size is
/// sealed; we read it with pread(2), so that nothing a worker does to it can hurt us. One per
/// worker, owned by it.
class BegunMark {
  public:
    static Result<BegunMark> make();

    int descriptor() const { return fd_.get(); }  ///< to send along with WELCOME
    bool names(JobId job, unsigned attempt) const;

  private:
    explicit BegunMark(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

}  // namespace supervise
