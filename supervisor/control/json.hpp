#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "supervisor/pool/control_api.hpp"

/// The control plane's JSON: what DESIGN promises to others, in one place. Pure functions.
namespace supervise::control {

boost::json::object to_json(const Snapshot& snapshot);
boost::json::object to_json(const Explanation& explanation);
boost::json::object to_json(const ReloadReport& report);
/// job_id, state, attempts and one of: result; error {type, message, traceback}; cause and detail.
boost::json::object to_json(const JobEnd& end);
/// {"error": {"code", "message"}}
boost::json::object to_json(const ApiError& error);
/// A number, a text, or {"uuid": "..."}.
boost::json::value to_json(const ipc::Id& id);

/// `where` names the value in the error: "ids[3]".
ApiResult<ipc::Id> id_from_json(const boost::json::value& value, const std::string& where);
/// 8-4-4-4-12 hexadecimal digits; nothing for any other text.
std::optional<ipc::Uuid> parse_uuid(std::string_view text);

/// For clients. What is missing or of another kind keeps its default: an older supervisor may not
/// send it.
Snapshot snapshot_from_json(const boost::json::value& value);
Explanation explanation_from_json(const boost::json::value& value);

/// A whole JSON text, or what is wrong with it and where.
ApiResult<boost::json::value> parse_json(std::string_view text);
/// On one line; fractions as people write them (0.25, where Boost.JSON has 2.5E-1).
std::string to_text(const boost::json::value& value);

}  // namespace supervise::control
