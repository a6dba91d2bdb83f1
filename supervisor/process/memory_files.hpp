#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.hpp"

namespace supervise {

/// A small kernel file that is kept open and read again and again without allocating (10 us for
/// memory.stat; opening it each time would double that).
class KeptFile {
  public:
    KeptFile() = default;
    /// Opens `path` for reading; a file that is not there reads as nothing.
    explicit KeptFile(const std::string& path);

    bool is_open() const { return static_cast<bool>(fd_); }
    /// The number of a file that holds one.
    std::optional<std::uint64_t> number() const;
    /// Calls `use(text)` with the whole text; false when it cannot be read (any more).
    template <class Use>
    bool with_text(Use use) const {
        char block[8192];  // memory.stat of Linux 6.18 has 2 KiB
        const ssize_t got = read(block, sizeof block);
        if (got <= 0) {
            return false;
        }
        use(std::string_view(block, static_cast<std::size_t>(got)));
        return true;
    }

  private:
    ssize_t read(char* block, std::size_t size) const;
    UniqueFd fd_;
};

/// Memory of one process by /proc/PID/statm. An open file stays with its process: once that is
/// gone, it reads nothing, even if the pid has been given to another.
class ProcessMemory {
  public:
    struct Bytes {
        std::uint64_t resident = 0;
        std::uint64_t shared = 0;  ///< file and shmem pages of it
    };
    void attach(pid_t pid);
    /// Nothing before attach() and after the process has ended.
    std::optional<Bytes> read() const;

  private:
    KeptFile statm_;
};

}  // namespace supervise
