#include "line_watch.hpp"

#include <utility>

namespace supervise {
namespace {

/// As it would be written in the config, rounded up.
std::string config_size(std::uint64_t bytes) {
    constexpr std::uint64_t mebi = 1 << 20;
    return std::to_string((bytes + mebi - 1) / mebi) + 'M';
}

}  // namespace

std::string LineWatch::check(const std::string& pool, const RecycleSettings& settings,
                             const MemorySample& fresh) {
    if (std::exchange(checked_, true)) {
        return {};
    }
    std::string error;
    const auto check_one = [&](std::string_view key, std::optional<std::uint64_t> line,
                               std::uint64_t size, bool& suspended) {
        if (!line || suspended || *line >= least_line(size)) {
            return;
        }
        suspended = true;
        error += (error.empty() ? "" : "; ") + ("pool " + pool) + ": recycle." + std::string(key) +
                 " = " + config_size(*line) + " is below 1.2 times what a fresh worker has (" +
                 config_size(size) +
                 "), so that every worker would be replaced at once; set it to " +
                 config_size(least_line(size)) + " at the least";
    };
    check_one("max_rss", settings.max_rss, fresh.rss, suspended_.max_rss);
    check_one("max_private", settings.max_private, fresh.private_bytes, suspended_.max_private);
    return error;
}

std::string LineWatch::recycled(RecycleReason reason, const MemorySample& old,
                                const MemorySample& fresh) {
    bool futile = false;
    if (reason == RecycleReason::max_rss) {
        futile = rss_.recycled(old.rss, fresh.rss);
        suspended_.max_rss = suspended_.max_rss || futile;
    } else if (reason == RecycleReason::max_private) {
        futile = private_.recycled(old.private_bytes, fresh.private_bytes);
        suspended_.max_private = suspended_.max_private || futile;
    }
    return !futile ? std::string()
                   : "three recycles in a row for recycle." + std::string(name_of(reason)) +
                         " gave nothing back; it is not obeyed until the config changes: raise it "
                         "or look for what a fresh worker loads";
}

}  // namespace supervise
