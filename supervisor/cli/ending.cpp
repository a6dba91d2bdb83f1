#include "ending.hpp"

#include <ostream>

#include "cli.hpp"
#include "supervisor/control/json.hpp"

namespace supervise::cli {
namespace json = boost::json;

namespace {

std::string text_of(const json::value& value, std::string_view key) {
    const json::object* object = value.if_object();
    const json::value* member = object != nullptr ? object->if_contains(key) : nullptr;
    if (member == nullptr) {
        return "";
    }
    const json::string* text = member->if_string();
    return text != nullptr ? std::string(*text) : control::to_text(*member);
}

}  // namespace

int end_without_answer(const Error& error, const std::string& socket_path, std::ostream& err) {
    switch (error.code.value()) {
        case ENOENT:
        case ENOTDIR:
        case ECONNREFUSED:
            err << "supervise: no supervisor at " << socket_path << ": " << error.code.message()
                << "\n  start one with `supervise --config FILE`, or say where it is with"
                   " --runtime-dir DIR\n  or $SUPERVISE_RUNTIME_DIR\n";
            return exit_no_supervisor;
        case ECONNRESET:
            err << "supervise: the supervisor at " << socket_path
                << " went away before it answered\n";
            return exit_no_supervisor;
        case EAGAIN:
            err << "supervise: the supervisor at " << socket_path
                << " has more connections than it takes; try again\n";
            return exit_refused;
        case EACCES:
            err << "supervise: " << error.message()
                << "\n  root, the supervisor's own user and its [supervisor] operators may\n";
            return exit_failed;
        case ETIMEDOUT:
            err << "supervise: no answer from " << socket_path << " in time\n";
            return exit_failed;
        default:
            err << "supervise: " << error.message() << '\n';
            return exit_failed;
    }
}

int end_refused(const Reply& reply, std::ostream& err) {
    const auto body = control::parse_json(reply.body);
    const json::object* object = body ? body->if_object() : nullptr;
    const json::value* error = object != nullptr ? object->if_contains("error") : nullptr;
    const std::string code = error != nullptr ? text_of(*error, "code") : "";
    const std::string message = error != nullptr ? text_of(*error, "message") : "";
    err << "supervise: "
        << (message.empty() ? "the supervisor answered with status " + std::to_string(reply.status)
                            : message);
    err << (code.empty() ? "" : " (" + code + ")") << '\n';
    if (code == "bad_config") {
        return exit_config;
    }
    const bool for_now = reply.status == 429 || reply.status == 503 || code == "busy";
    return for_now ? exit_refused : exit_failed;
}

int end_of_job(const json::value& end, std::ostream& out, std::ostream& err) {
    if (text_of(end, "state") == "done") {
        const json::object* object = end.if_object();
        const json::value* result = object != nullptr ? object->if_contains("result") : nullptr;
        if (result != nullptr && result->is_object()) {
            out << text_of(*result, "uuid") << '\n';
        } else if (result != nullptr && !result->is_null()) {
            out << text_of(end, "result") << '\n';
        }
        return exit_done;
    }
    err << "supervise: job " << text_of(end, "job_id") << " is " << text_of(end, "state")
        << " after " << text_of(end, "attempts") << " attempt(s)\n";
    const json::object* object = end.if_object();
    if (const json::value* error = object != nullptr ? object->if_contains("error") : nullptr) {
        const std::string traceback = text_of(*error, "traceback");
        err << traceback << (traceback.empty() || traceback.ends_with('\n') ? "" : "\n");
        err << text_of(*error, "type") << ": " << text_of(*error, "message") << '\n';
    } else {
        err << "  cause: " << text_of(end, "cause") << "; " << text_of(end, "detail") << '\n';
    }
    err << "  more: supervise why " << text_of(end, "job_id") << '\n';
    return exit_failed;
}

}  // namespace supervise::cli
