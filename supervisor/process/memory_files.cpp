#include "memory_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/control_file.hpp"

namespace supervise {

KeptFile::KeptFile(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}

ssize_t KeptFile::read(char* block, std::size_t size) const {
    ssize_t got = -1;
    do {
        got = ::pread(fd_.get(), block, size, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

std::optional<std::uint64_t> KeptFile::number() const {
    std::optional<std::uint64_t> out;
    with_text([&out](std::string_view text) { out = parse_counter(text); });
    return out;
}

void ProcessMemory::attach(pid_t pid) {
    statm_ = KeptFile("/proc/" + std::to_string(pid) + "/statm");
}

std::optional<ProcessMemory::Bytes> ProcessMemory::read() const {
    static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    std::uint64_t pages[3] = {};  // size, resident, shared
    bool whole = true;
    const bool there = statm_.with_text([&](std::string_view text) {
        const char* at = text.data();
        const char* const end = at + text.size();
        for (std::uint64_t& number : pages) {
            const auto [next, error] = std::from_chars(at, end, number);
            whole = whole && error == std::errc{};
            at = next == end ? end : next + 1;
        }
    });
    if (!there || !whole || pages[0] == 0) {  // a zombie has no memory left: all noughts
        return std::nullopt;
    }
    return Bytes{pages[1] * page, pages[2] * page};
}

}  // namespace supervise
