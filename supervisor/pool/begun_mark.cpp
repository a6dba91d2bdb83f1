#include "begun_mark.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace supervise {

Result<BegunMark> BegunMark::make() {
    UniqueFd fd(::memfd_create("supervise-mark", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    constexpr int seals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    if (!fd || ::ftruncate(fd.get(), 2 * sizeof(std::uint64_t)) != 0 ||
        ::fcntl(fd.get(), F_ADD_SEALS, seals) != 0) {
        return errno_error("make a memfd for a worker's mark");
    }
    return BegunMark(std::move(fd));
}

bool BegunMark::names(JobId job, unsigned attempt) const {
    std::uint64_t mark[2] = {0, 0};
    if (::pread(fd_.get(), mark, sizeof mark, 0) != sizeof mark) {
        return true;  // cannot be told: never run a job twice on a guess
    }
    return mark[0] == job && mark[1] == attempt;
}

}  // namespace supervise
