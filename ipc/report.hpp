#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "supervise/job.hpp"

/// How an attempt ended. In DONE and RESULT it travels encoded and is forwarded as it is.
namespace supervise::ipc {

struct Failure {
    std::string_view type;
    std::string_view message;
    std::string_view traceback;
};
struct Loss {
    Cause cause = Cause::unknown;
    std::string_view detail;
};
struct Value {
    std::string_view id;  ///< one encoded ID, or empty for none
};
using Report = std::variant<Value, Failure, Loss>;

/// Always a whole report: of texts that are too long a traceback loses its beginning first, then a
/// message its end; bytes that are not UTF-8, and NULs, become '?'. A Value that is not an encoded
/// ID is a broken precondition (throws std::invalid_argument).
std::string encode_report(const Report& report);
/// Points into `bytes`; nothing when they are not exactly one report.
std::optional<Report> decode_report(std::string_view bytes);

}  // namespace supervise::ipc
