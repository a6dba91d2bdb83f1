#pragma once

#include <string>

namespace supervise {

/// Why a pool's workers do not come up: the starts that have failed since the last one that did
/// not. Pure.
class StartTrouble {
  public:
    /// `shortage`: which limit of the machine it was, where it was one; else empty.
    void failed(const std::string& what, const std::string& shortage) {
        ++failures_;
        text_ = what.substr(0, what.find('\n'));  // no traceback
        text_ += shortage.empty() ? "" : " (" + shortage + ')';
    }
    void over() { *this = StartTrouble(); }
    /// The code that workers start with is another now.
    void forget_text() { text_.clear(); }

    unsigned failures() const { return failures_; }
    const std::string& text() const { return text_; }  ///< of the last one; empty: no trouble

  private:
    unsigned failures_ = 0;
    std::string text_;
};

}  // namespace supervise
