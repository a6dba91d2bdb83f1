#include "config/diagnostic.hpp"

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <utility>

#include "base/utf8.hpp"

namespace supervise::config {

std::string Diagnostic::text() const {
    return file + ':' + std::to_string(line) + ':' + std::to_string(column) +
           (severity == Severity::error ? ": error: " : ": warning: ") + message;
}

void Diagnostics::error(Position where, std::string message) {
    ++errors_;
    add(Diagnostic::Severity::error, where, std::move(message));
}

void Diagnostics::warning(Position where, std::string message) {
    add(Diagnostic::Severity::warning, where, std::move(message));
}

void Diagnostics::add(Diagnostic::Severity severity, Position where, std::string message) {
    kept_.push_back({severity, file_, where.line, where.column, std::move(message)});
    if (kept_.size() >= 10 * most) {
        trim();
    }
}

void Diagnostics::trim() {
    if (kept_.size() <= most) {
        return;
    }
    std::stable_sort(kept_.begin(), kept_.end(), [](const Diagnostic& a, const Diagnostic& b) {
        return std::tie(a.severity, a.line, a.column) < std::tie(b.severity, b.line, b.column);
    });
    left_out_ += kept_.size() - most;
    kept_.resize(most);
}

std::vector<Diagnostic> Diagnostics::take() {
    trim();
    std::stable_sort(kept_.begin(), kept_.end(), [](const Diagnostic& a, const Diagnostic& b) {
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    return std::exchange(kept_, {});
}

Position Positions::at(std::string path) const {
    while (true) {
        if (const auto found = places_.find(path); found != places_.end()) {
            return found->second;
        }
        const std::size_t dot = path.rfind('.');
        if (dot == std::string::npos) {
            return {};
        }
        path.resize(dot);
    }
}

std::string printable(std::string_view text, std::size_t longest) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t size = utf8_character(text, i);
        if (i + size > longest) {
            return out + "...";
        }
        const auto byte = static_cast<unsigned char>(text[i]);
        if (size == 0 || byte < 0x20 || byte == 0x7f) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\x%02x", byte);
            out += escape;
            ++i;
        } else {
            out += text.substr(i, size);
            i += size;
        }
    }
    return out;
}

std::string in_quotes(std::string_view text, std::size_t longest) {
    return '"' + printable(text, longest) + '"';
}

}  // namespace supervise::config
