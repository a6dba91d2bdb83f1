#include "config/schema.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "config/paths.hpp"
#include "config/pool_schema.hpp"
#include "config/toml_reader.hpp"

namespace supervise::config {
namespace {

constexpr std::size_t most_pools = 256;

bool is_address(const std::string& host) {
    unsigned char bytes[sizeof(in6_addr)];
    if (host.starts_with('[') && host.ends_with(']')) {
        return ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), bytes) == 1;
    }
    return ::inet_pton(AF_INET, host.c_str(), bytes) == 1;
}

void read_listen(TableReader& table, std::optional<std::string>& listen) {
    constexpr const char* example =
        ": write an address and a port, as in \"127.0.0.1:9877\" or \"[::1]:9877\"";
    std::optional<std::string> text;
    table.text("listen", text);
    if (!text) {
        return;
    }
    const std::size_t colon = text->rfind(':');
    if (colon == std::string::npos) {
        table.error("listen", in_quotes(*text) + " has no port" + example);
        return;
    }
    // No names: looking one up could block the start.
    std::string host = text->substr(0, colon);
    if (host == "localhost") {
        host = "127.0.0.1";
    }
    unsigned port = 0;
    const char* end = text->data() + text->size();
    const auto read = std::from_chars(text->data() + colon + 1, end, port);
    if (!is_address(host)) {
        table.error("listen", in_quotes(*text) + " does not begin with an IP address" + example);
    } else if (read.ec != std::errc{} || read.ptr != end || port < 1 || port > 65'535) {
        table.error("listen", in_quotes(*text) + " does not end in a port of 1 to 65535" + example);
    } else {
        listen = host + ':' + std::to_string(port);
    }
}

void read_cgroup_root(TableReader& table, std::optional<std::string>& root) {
    std::optional<std::string> text;
    table.text("cgroup_root", text);
    if (!text) {
        return;
    }
    const std::string parts = *text + '/';
    if (text->front() != '/' || text->size() < 2 || parts.find("//") != std::string::npos ||
        parts.find("/./") != std::string::npos || parts.find("/../") != std::string::npos) {
        table.error("cgroup_root",
                    in_quotes(*text) +
                        " is not the path of a group, counted from the cgroup mount: "
                        "write one such as \"/supervise\"");
        return;
    }
    root = *text;
}

void read_supervisor(TableReader& table, SupervisorSettings& out, const std::string& base) {
    read_path(table, "runtime_dir", base, out.runtime_dir);
    read_listen(table, out.listen);
    read_cgroup_root(table, out.cgroup_root);
    table.texts("operators", out.operators, most_users);
    table.table("log", "log = { level = \"info\" }", [&](TableReader& log) {
        log.choice("level", out.log.level, {"debug", "info", "warning", "error"});
        log.choice("format", out.log.format, {"text", "json", "journald"});
        read_path(log, "file", base, out.log.file);
    });
}

bool is_pool_name(const std::string& name) {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !name.empty() && name.size() <= 32 && letter(name.front()) &&
           std::all_of(name.begin(), name.end(),
                       [&](char c) { return letter(c) || c == '_' || c == '-'; });
}

void read_pools(TableReader& pools, std::vector<PoolSettings>& out, const std::string& base,
                Reading& reading) {
    for (const auto& [name, node] : pools.entries()) {
        const Position where = reading.positions.at(pools.path(name));
        const toml::table* inner = node->as_table();
        if (inner == nullptr) {
            reading.diagnostics.error(where, "pool." + printable(name, 60) +
                                                 " must be a table: write [pool.NAME] with the "
                                                 "pool's name, and the keys beneath it");
            continue;
        }
        if (out.size() == most_pools) {
            reading.diagnostics.error(where, "there are more than " + std::to_string(most_pools) +
                                                 " pools: put the rest under another supervisor");
            return;
        }
        const bool named = is_pool_name(name);
        if (!named) {
            reading.diagnostics.error(
                where, in_quotes(name) +
                           " cannot be a pool's name: write 1 to 32 letters, digits, _ "
                           "and -, beginning with a letter or digit");
        } else if (name == "control") {
            reading.diagnostics.error(where,
                                      "a pool cannot be named control: control.sock is the "
                                      "supervisor's own socket; choose another name");
        }
        // A wrong name stays out of paths and messages.
        PoolSettings pool;
        pool.name = named ? name : "NAME";
        const std::string path = pools.path(pool.name);
        reading.positions.set(path, where);
        TableReader reader(reading, inner, path);
        read_pool(reader, pool, base);
        reader.reject_unknown();
        out.push_back(std::move(pool));
    }
}

Settings read_root(const toml::table& root, const std::string& base, Reading& reading) {
    Settings settings;
    settings.supervisor.runtime_dir = default_runtime_dir();
    TableReader reader(reading, &root, "");
    reader.table("supervisor", "[supervisor]",
                 [&](TableReader& table) { read_supervisor(table, settings.supervisor, base); });
    reader.table("pool", "[pool.NAME] for each pool",
                 [&](TableReader& pools) { read_pools(pools, settings.pools, base, reading); });
    reader.reject_unknown();
    if (reader.find("pool") == nullptr ||
        (settings.pools.empty() && root["pool"].is_table() && root["pool"].as_table()->empty())) {
        reading.diagnostics.error({},
                                  "there is no pool: write [pool.NAME] with a name of your "
                                  "choice, and app = \"package.module\" beneath it");
    }
    return settings;
}

}  // namespace

Settings read_settings(const toml::table& root, const std::string& base, Diagnostics& diagnostics,
                       Positions& positions) {
    Reading reading{diagnostics, positions, &known_keys()};
    return read_root(root, base, reading);
}

const std::vector<std::string>& known_keys() {
    static const std::vector<std::string> keys = [] {
        // Whatever the readers ask for exists: let them read a file with one empty pool.
        Diagnostics diagnostics("");
        Positions positions;
        Reading reading{diagnostics, positions};
        const toml::table root{{"pool", toml::table{{"NAME", toml::table{}}}}};
        read_root(root, "/", reading);
        return reading.asked;
    }();
    return keys;
}

}  // namespace supervise::config
