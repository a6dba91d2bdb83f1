#pragma once

#include <string>
#include <variant>

#include "ipc/ids.hpp"

namespace supervise::cli {

struct BadId {
    std::string message;
};
/// "42" is a number, 8-4-4-4-12 hexadecimal digits a UUID, "text:42" and all else a text.
std::variant<ipc::Id, BadId> parse_id_argument(const std::string& argument);

}  // namespace supervise::cli
