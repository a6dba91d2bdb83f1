#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace supervise {

/// Cuts a stream of bytes into lines, keeping at most one line's worth of them. Pure: no clock, no
/// I/O.
class LineSplitter {
  public:
    /// `line` without its newline; `cut` when it was longer than `max_line`.
    using Line = std::function<void(std::string_view line, bool cut)>;

    explicit LineSplitter(std::size_t max_line) : max_line_(max_line) {}

    void feed(std::string_view bytes, const Line& line);
    /// The end of the stream: an unfinished line is one, too.
    void finish(const Line& line);

  private:
    std::size_t max_line_;
    std::string begun_;
    bool skipping_ = false;  ///< the line was given out when it got too long; its rest is left out
};

}  // namespace supervise
