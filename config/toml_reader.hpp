#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/diagnostic.hpp"
#include "supervise/settings.hpp"

namespace supervise::config {

/// Both ends belong to it.
template <class T>
struct Range {
    T least;
    T most;
};

/// What the readers of one load share.
struct Reading {
    Diagnostics& diagnostics;
    Positions& positions;
    /// Every key that exists, as dotted paths with NAME for a pool's name: where a misplaced key
    /// belongs. Null while that very list is made.
    const std::vector<std::string>* all_keys = nullptr;
    /// Every key asked for so far, by its path.
    std::vector<std::string> asked{};
};

/// Typed getters over one TOML table. A getter leaves its target alone when the key is absent or
/// wrong (then it adds a diagnostic), so defaults live in Settings only. Targets are the value
/// itself or an optional of it. The keys asked for are the keys that exist: reject_unknown()
/// reports all others. A reader of a null table answers "absent" throughout.
class TableReader {
  public:
    TableReader(Reading& reading, const toml::table* table, std::string path)
        : reading_(reading), table_(table), path_(std::move(path)) {}

    bool has(std::string_view key) { return find(key) != nullptr; }
    /// The dotted path of `key`, the word that Positions uses.
    std::string path(std::string_view key) const;
    /// The value as it is, for keys that take several types; null when absent.
    const toml::node* find(std::string_view key);

    template <class Target>
    void text(std::string_view key, Target& target) {
        assign(target, get_text(key));
    }
    /// One of `words`.
    void choice(std::string_view key, std::string& target, const std::vector<std::string>& words);
    void texts(std::string_view key, std::vector<std::string>& target, std::size_t most);
    void boolean(std::string_view key, bool& target);
    template <class Target>
    void integer(std::string_view key, Target& target, Range<std::int64_t> range) {
        assign(target, get_integer(key, range));
    }
    void number(std::string_view key, double& target, Range<double> range);
    template <class Target>
    void size(std::string_view key, Target& target, Range<std::uint64_t> bytes) {
        assign(target, get_size(key, bytes));
    }
    template <class Target>
    void time(std::string_view key, Target& target, Range<Milliseconds> range) {
        assign(target, get_time(key, range));
    }
    /// Reads a table within this one, and rejects what `read` did not ask for. `example` shows how
    /// to write one: "[pool.mail.recycle]".
    void table(std::string_view key, const std::string& example,
               const std::function<void(TableReader&)>& read);
    /// Every key and value, in the file's order, for tables whose keys the user invents.
    std::vector<std::pair<std::string, const toml::node*>> entries();

    /// "KEY MESSAGE" at the key's value.
    void error(std::string_view key, const std::string& message);
    void warning(std::string_view key, const std::string& message);
    /// What stands in the file is not what the key takes: "KEY must be WHAT, not a boolean".
    void wrong_type(std::string_view key, const std::string& what, const std::string& help = {});
    void reject_unknown();

  private:
    std::optional<std::string> get_text(std::string_view key);
    std::optional<std::int64_t> get_integer(std::string_view key, Range<std::int64_t> range);
    std::optional<std::uint64_t> get_size(std::string_view key, Range<std::uint64_t> range);
    std::optional<Milliseconds> get_time(std::string_view key, Range<Milliseconds> range);
    bool clean_text(std::string_view key, Position where, const std::string& text);

    template <class T, class Value>
    static void assign(T& target, const std::optional<Value>& value) {
        if (value) {
            target = static_cast<T>(*value);
        }
    }
    template <class T, class Value>
    static void assign(std::optional<T>& target, const std::optional<Value>& value) {
        if (value) {
            target = static_cast<T>(*value);
        }
    }

    Reading& reading_;
    const toml::table* table_;
    std::string path_;
    std::vector<std::string> known_;
    bool any_key_ = false;  ///< entries() was called: the keys are the user's
};

/// What to tell someone who wrote "4" for 4; empty for anything else.
std::string unquote_help(const toml::node& node);

/// Where a value begins.
Position position_of(const toml::node& node);

}  // namespace supervise::config
