#include "requests.hpp"

#include <algorithm>
#include <initializer_list>

#include "json.hpp"

namespace supervise::control {
namespace json = boost::json;

namespace {

constexpr unsigned most_workers = 1024;

ApiError bad_request(std::string message) { return {400, "bad_request", std::move(message)}; }

/// The body as an object that has none but the `allowed` keys; no body is an empty object.
ApiResult<json::object> read_object(std::string_view body,
                                    std::initializer_list<std::string_view> allowed) {
    if (body.empty()) {
        return json::object();
    }
    auto parsed = parse_json(body);
    if (!parsed) {
        return parsed.error();
    }
    json::object* object = parsed->if_object();
    if (object == nullptr) {
        return bad_request("the body must be a JSON object");
    }
    for (const auto& [key, value] : *object) {
        if (std::find(allowed.begin(), allowed.end(), std::string_view(key)) != allowed.end()) {
            continue;
        }
        std::string message = "unknown key " + to_text(json::string(key)) + "; ";
        message += allowed.size() == 0 ? "this request takes none" : "there are";
        for (const std::string_view name : allowed) {
            message += ' ' + std::string(name);
        }
        return bad_request(message);
    }
    return std::move(*object);
}

/// A whole number in [least, most] behind `key`; nothing when the key is not there.
ApiResult<std::optional<unsigned>> read_number(const json::object& object, std::string_view key,
                                               unsigned least, unsigned most) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) {
        return std::optional<unsigned>();
    }
    const std::int64_t* number = value->if_int64();
    if (number == nullptr || *number < least || *number > most) {
        return bad_request(std::string(key) + " must be a whole number from " +
                           std::to_string(least) + " to " + std::to_string(most));
    }
    return std::optional<unsigned>(static_cast<unsigned>(*number));
}

/// True or false behind `key`; false when the key is not there.
ApiResult<bool> read_flag(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) {
        return false;
    }
    if (!value->is_bool()) {
        return bad_request(std::string(key) + " must be true or false");
    }
    return value->get_bool();
}

ApiResult<std::vector<ipc::Id>> read_ids(const json::object& object) {
    std::vector<ipc::Id> ids;
    const json::value* value = object.if_contains("ids");
    if (value == nullptr) {
        return ids;
    }
    if (!value->is_array()) {
        return bad_request("ids must be an array, as in \"ids\": [42]");
    }
    for (const json::value& member : value->get_array()) {
        auto id = id_from_json(member, "ids[" + std::to_string(ids.size()) + "]");
        if (!id) {
            return id.error();
        }
        ids.push_back(std::move(*id));
    }
    if (!ipc::encode_args(ids)) {
        return ApiError{400, "too_many_ids",
                        "a job takes at most 100 IDs and " + std::to_string(ipc::max_args) +
                            " bytes of them; keep the data in a store and pass its ID"};
    }
    return ids;
}

}  // namespace

ApiResult<SubmitRequest> read_submit(std::string_view body) {
    const auto object = read_object(body, {"task", "ids", "priority", "wait"});
    if (!object) {
        return object.error();
    }
    SubmitRequest request;
    const json::value* task = object->if_contains("task");
    if (task == nullptr || !task->is_string() || task->get_string().empty()) {
        return bad_request("task must be a text, as in \"task\": \"reports.tasks.build\"");
    }
    request.task = task->get_string();
    if (request.task.size() > ipc::max_text) {
        return bad_request("task may have at most " + std::to_string(ipc::max_text) + " bytes");
    }
    auto ids = read_ids(*object);
    if (!ids) {
        return ids.error();
    }
    request.ids = std::move(*ids);
    const auto priority = read_number(*object, "priority", 0, 9);
    if (!priority) {
        return priority.error();
    }
    request.priority = priority->value_or(0);
    const auto wait = read_flag(*object, "wait");
    if (!wait) {
        return wait.error();
    }
    request.wait = *wait;
    return request;
}

ApiResult<RecycleRequest> read_recycle(std::string_view body) {
    const auto object = read_object(body, {"slot", "template", "front"});
    if (!object) {
        return object.error();
    }
    const auto slot = read_number(*object, "slot", 1, most_workers);
    if (!slot) {
        return slot.error();
    }
    const auto renew_template = read_flag(*object, "template");
    if (!renew_template) {
        return renew_template.error();
    }
    const auto front = read_flag(*object, "front");
    if (!front) {
        return front.error();
    }
    if ((*slot ? 1 : 0) + (*renew_template ? 1 : 0) + (*front ? 1 : 0) > 1) {
        return bad_request(
            "slot, template and front exclude each other: the latter two are the whole pool's");
    }
    return RecycleRequest{*slot, *renew_template, *front};
}

ApiResult<ScaleRequest> read_scale(std::string_view body) {
    const auto object = read_object(body, {"workers", "max"});
    if (!object) {
        return object.error();
    }
    const auto workers = read_number(*object, "workers", 0, most_workers);
    if (!workers) {
        return workers.error();
    }
    const auto most = read_number(*object, "max", 0, most_workers);
    if (!most) {
        return most.error();
    }
    if (workers->has_value() == most->has_value()) {
        return bad_request("say how many, as in {\"workers\": 4}; or {\"max\": 4}");
    }
    return ScaleRequest{*workers ? **workers : **most, most->has_value()};
}

ApiResult<void> read_nothing(std::string_view body) {
    const auto object = read_object(body, {});
    if (!object) {
        return object.error();
    }
    return {};
}

}  // namespace supervise::control
