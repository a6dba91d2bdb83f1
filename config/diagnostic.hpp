#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace supervise::config {

/// A place in the file; both count from 1, columns in characters.
struct Position {
    unsigned line = 1;
    unsigned column = 1;
    auto operator<=>(const Position&) const = default;
};

/// One thing wrong with (or doubtful in) a config file. A missing key has the position of its
/// table.
struct Diagnostic {
    enum class Severity { error, warning } severity = Severity::error;
    std::string file;
    unsigned line = 1;
    unsigned column = 1;
    std::string message;  ///< what is wrong and what to write instead

    /// "workers.toml:4:1: error: unknown key ..."
    std::string text() const;
};

/// Collects what a load finds, in any order, and keeps the first `most` in the file's order,
/// errors before warnings, so that a megabyte of rubbish costs neither memory nor a screen.
class Diagnostics {
  public:
    static constexpr std::size_t most = 100;

    explicit Diagnostics(std::string file) : file_(std::move(file)) {}

    void error(Position where, std::string message);
    void warning(Position where, std::string message);
    /// More than `most` errors so far: help that costs time to find need not be looked for.
    bool crowded() const { return errors_ > most; }
    std::size_t errors() const { return errors_; }

    /// Those kept, sorted; leaves nothing behind.
    std::vector<Diagnostic> take();
    /// How many were not kept; valid after take().
    std::size_t left_out() const { return left_out_; }

  private:
    void add(Diagnostic::Severity severity, Position where, std::string message);
    void trim();

    std::string file_;
    std::vector<Diagnostic> kept_;
    std::size_t errors_ = 0;
    std::size_t left_out_ = 0;
};

/// Where each key of the file stands, by its dotted path ("pool.mail.recycle.max_rss"), for checks
/// that look at two keys at once.
class Positions {
  public:
    void set(const std::string& path, Position where) { places_[path] = where; }
    bool contains(const std::string& path) const { return places_.count(path) != 0; }
    /// The key itself or, where it is not in the file, the nearest table around it.
    Position at(std::string path) const;

  private:
    std::map<std::string, Position> places_;
};

/// Foreign text fit for one line: cut where longer than `longest` bytes, whatever is no character
/// escaped.
std::string printable(std::string_view text, std::size_t longest);
/// The user's own words within a message: printable, in quotes, short unless it is a
/// path, whose end matters.
std::string in_quotes(std::string_view text, std::size_t longest = 60);

}  // namespace supervise::config
