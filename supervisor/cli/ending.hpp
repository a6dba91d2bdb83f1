#pragma once

#include <boost/json/value.hpp>
#include <iosfwd>

#include "control_client.hpp"

/// From what went wrong to words on stderr and an exit code.
namespace supervise::cli {

/// There was no answer.
int end_without_answer(const Error& error, const std::string& socket_path, std::ostream& err);

/// The answer was an error.
int end_refused(const Reply& reply, std::ostream& err);

/// A job's end, from POST .../jobs with "wait": its result on `out`, or what went wrong on `err`.
int end_of_job(const boost::json::value& end, std::ostream& out, std::ostream& err);

}  // namespace supervise::cli
