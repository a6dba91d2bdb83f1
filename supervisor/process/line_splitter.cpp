#include "line_splitter.hpp"

namespace supervise {

void LineSplitter::feed(std::string_view bytes, const Line& line) {
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        const std::string_view piece = bytes.substr(0, end);
        const bool whole = end != std::string_view::npos;
        bytes.remove_prefix(whole ? end + 1 : bytes.size());
        if (!skipping_ && begun_.size() + piece.size() > max_line_) {
            // Now and not at its newline, which may never come.
            begun_.append(piece.substr(0, max_line_ - begun_.size()));
            line(begun_, true);
            begun_.clear();
            skipping_ = true;
        } else if (!skipping_ && whole && begun_.empty()) {
            line(piece, false);
        } else if (!skipping_) {
            begun_.append(piece);
            if (whole) {
                line(begun_, false);
                begun_.clear();
            }
        }
        if (whole) {
            skipping_ = false;
        }
    }
}

void LineSplitter::finish(const Line& line) {
    if (!begun_.empty()) {
        line(begun_, false);
        begun_.clear();
    }
    skipping_ = false;
}

}  // namespace supervise
