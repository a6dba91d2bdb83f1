#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>

#include "base/control_file.hpp"
#include "config/validate.hpp"

namespace supervise::config {
namespace {

constexpr int cap_sys_resource = 24;

/// Not parse_counter(): it is hexadecimal, and a score may be negative.
long long number_in(const std::string& text, std::string_view key, int base) {
    const std::size_t at = text.find(key);
    return at == std::string::npos ? 0
                                   : std::strtoll(text.c_str() + at + key.size(), nullptr, base);
}

/// Digits alone are a number, even where an account has such a name; the largest one means "leave
/// it" to the kernel.
bool is_number(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_id(const std::string& text) {
    std::uint32_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc{} && number != UINT32_MAX;
}

}  // namespace

Host this_host() {
    Host host;
    host.uid = ::geteuid();
    if (const auto status = read_control_file(AT_FDCWD, "/proc/self/status")) {
        host.has_sys_resource = ((number_in(*status, "CapEff:", 16) >> cap_sys_resource) & 1) != 0;
    }
    if (const auto score = read_control_file(AT_FDCWD, "/proc/self/oom_score_adj")) {
        host.oom_score_adj = static_cast<int>(number_in(*score, "", 10));
    }
    const char* path = std::getenv("PATH");
    host.search_path = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
    return host;
}

bool user_exists(const std::string& name) {
    return is_number(name) ? is_id(name) : ::getpwnam(name.c_str()) != nullptr;
}

bool group_exists(const std::string& name) {
    return is_number(name) ? is_id(name) : ::getgrnam(name.c_str()) != nullptr;
}

}  // namespace supervise::config
