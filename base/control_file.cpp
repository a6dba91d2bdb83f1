#include "control_file.hpp"

#include <fcntl.h>

#include <charconv>
#include <limits>

#include "unique_fd.hpp"

namespace supervise {

Result<std::string> read_control_file(int dirfd, const std::string& path) {
    const UniqueFd fd(::openat(dirfd, path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return errno_error("open", path);
    }
    std::string text;
    char block[4096];
    for (;;) {
        const ssize_t got = ::read(fd.get(), block, sizeof block);
        if (got > 0) {
            text.append(block, static_cast<std::size_t>(got));
        } else if (got == 0) {
            return text;
        } else if (errno != EINTR) {
            return errno_error("read", path);
        }
    }
}

Result<void> write_control_file(int dirfd, const std::string& path, std::string_view text) {
    const UniqueFd fd(::openat(dirfd, path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) {
        return errno_error("open", path);
    }
    // The kernel takes a control file's new value from a single write.
    while (::write(fd.get(), text.data(), text.size()) < 0) {
        if (errno != EINTR) {
            return errno_error("write \"" + std::string(text) + "\" to", path);
        }
    }
    return {};
}

std::optional<std::uint64_t> find_counter(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        if (line.size() > key.size() && line.substr(0, key.size()) == key &&
            line[key.size()] == ' ') {
            return parse_counter(line.substr(key.size() + 1));
        }
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return std::nullopt;
}

std::optional<std::uint64_t> parse_counter(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\n");
    if (first == std::string_view::npos) {
        return std::nullopt;
    }
    text = text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
    if (text == "max") {
        return std::numeric_limits<std::uint64_t>::max();
    }
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

}  // namespace supervise
