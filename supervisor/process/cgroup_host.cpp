#include "cgroup_host.hpp"

#include <fcntl.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/control_file.hpp"

namespace supervise {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        const std::size_t end = text.find(separator);
        if (end != 0) {
            out.push_back(text.substr(0, end));
        }
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return out;
}

bool lists(std::string_view commas, std::string_view word) {
    const auto words = split(commas, ',');
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// mountinfo writes blanks in paths as \040 and so on.
std::string unescape(std::string_view text) {
    const auto octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
            octal(text[i + 3])) {
            out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                     (text[i + 3] - '0'));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

struct Mount {
    std::string root;   ///< the part of the hierarchy that is mounted
    std::string point;  ///< where
};

/// "36 35 98:0 /root /point opts optional... - type source super-options"
std::optional<Mount> cgroup_mount(std::string_view line, bool v2) {
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 5 || fields.end() - dash < 4) {
        return std::nullopt;
    }
    const bool wanted = v2 ? dash[1] == "cgroup2" : dash[1] == "cgroup" && lists(dash[3], "memory");
    return wanted ? std::optional(Mount{unescape(fields[3]), unescape(fields[4])}) : std::nullopt;
}

/// Our group's path in one hierarchy: "0::/path" for v2, "4:cpu,memory:/path" for v1.
std::optional<std::string_view> own_path(std::string_view self_cgroup, bool v2) {
    for (const std::string_view line : split(self_cgroup, '\n')) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (second == std::string_view::npos) {
            continue;
        }
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        if (v2 ? line.substr(0, second) == "0:" : lists(controllers, "memory")) {
            return line.substr(second + 1);
        }
    }
    return std::nullopt;
}

std::optional<std::string> folder_of(const Mount& mount, std::string_view path) {
    const std::string root = mount.root == "/" ? "" : mount.root;
    // A group that was moved out of our namespace reads "/..": not in this mount.
    if (path.compare(0, root.size(), root) != 0 || path.find("/..") != std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view rest = path.substr(root.size());
    if (rest.empty() || rest == "/") {
        return mount.point;
    }
    return rest[0] == '/' ? std::optional(mount.point + std::string(rest)) : std::nullopt;
}

std::optional<Hierarchy> find_hierarchy(std::string_view mountinfo, std::string_view self_cgroup,
                                        bool v2) {
    const auto path = own_path(self_cgroup, v2);
    std::optional<Hierarchy> found;
    for (const std::string_view line : split(mountinfo, '\n')) {
        const auto mount = cgroup_mount(line, v2);
        if (!mount) {
            continue;
        }
        Hierarchy hierarchy{mount->point, path ? folder_of(*mount, *path) : std::nullopt};
        // A container may have several mounts of one hierarchy: take one that shows our group.
        if (!found || (!found->own && hierarchy.own)) {
            found = std::move(hierarchy);
        }
    }
    return found;
}

std::optional<std::uint64_t> smaller(std::optional<std::uint64_t> a,
                                     std::optional<std::uint64_t> b) {
    if (!a || !b) {
        return a ? a : b;
    }
    return std::min(*a, *b);
}

}  // namespace

HostCgroups parse_cgroups(std::string_view mountinfo, std::string_view self_cgroup) {
    return {find_hierarchy(mountinfo, self_cgroup, true),
            find_hierarchy(mountinfo, self_cgroup, false)};
}

HostCgroups find_cgroups() {
    const auto mountinfo = read_control_file(AT_FDCWD, "/proc/self/mountinfo");
    const auto self = read_control_file(AT_FDCWD, "/proc/self/cgroup");
    return mountinfo && self ? parse_cgroups(*mountinfo, *self) : HostCgroups{};
}

std::optional<std::uint64_t> v2_memory_limit(const Hierarchy& hierarchy, const std::string& group) {
    std::optional<std::uint64_t> limit;
    std::string at = group;
    for (;;) {
        const auto text = read_control_file(AT_FDCWD, at + "/memory.max");
        const auto value = text ? parse_counter(*text) : std::nullopt;
        if (value && *value != std::numeric_limits<std::uint64_t>::max()) {
            limit = smaller(limit, value);
        }
        if (at.size() <= hierarchy.mount.size()) {
            return limit;
        }
        at.resize(at.rfind('/'));
    }
}

std::optional<std::uint64_t> v1_memory_limit(const std::string& group) {
    const auto text = read_control_file(AT_FDCWD, group + "/memory.stat");
    const auto limit = text ? find_counter(*text, "hierarchical_memory_limit") : std::nullopt;
    // "None" is the largest number of whole pages in a long.
    constexpr std::uint64_t none = std::uint64_t{1} << 62;
    return limit && *limit < none ? limit : std::nullopt;
}

std::optional<std::uint64_t> own_memory_limit(const HostCgroups& host) {
    std::optional<std::uint64_t> limit;
    if (host.v2 && host.v2->own) {
        limit = v2_memory_limit(*host.v2, *host.v2->own);
    }
    if (host.v1_memory && host.v1_memory->own) {
        limit = smaller(limit, v1_memory_limit(*host.v1_memory->own));
    }
    return limit;
}

std::uint64_t total_memory() {
    const auto text = read_control_file(AT_FDCWD, "/proc/meminfo");
    if (!text) {
        return 0;
    }
    constexpr std::string_view key = "MemTotal:";
    const std::size_t at = text->find(key);
    const std::size_t unit = text->find(" kB", at);
    if (at == std::string::npos || unit == std::string::npos) {
        return 0;
    }
    const std::size_t begin = at + key.size();
    return parse_counter(std::string_view(*text).substr(begin, unit - begin)).value_or(0) * 1024;
}

}  // namespace supervise
