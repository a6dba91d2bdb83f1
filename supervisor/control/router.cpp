#include "router.hpp"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "json.hpp"
#include "requests.hpp"
#include "routes.hpp"

namespace supervise::control {
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

HttpResponse unknown_path(std::string_view path) {
    json::array paths;
    for (const Route& route : routes()) {
        paths.emplace_back(std::string(route.method) + ' ' + std::string(route.pattern));
    }
    json::object body = to_json(
        ApiError{404, "unknown_path", "there is no " + std::string(path) + "; see `paths`"});
    body["paths"] = std::move(paths);
    return {404, to_text(body) + '\n', "application/json", ""};
}

HttpResponse wrong_method(const HttpRequest& request, std::string_view path, std::string allow,
                          Access access) {
    std::string message = request.method + " is not for " + std::string(path) + "; it takes ";
    if (access == Access::read_only && allow == "POST") {
        allow = "";
        message = "this address is read-only; " + std::string(path) + " is on the control socket";
    } else {
        message += allow;
    }
    HttpResponse response = error_response({405, "wrong_method", message});
    response.allow = allow;
    return response;
}

HttpResponse forbidden(const HttpRequest& request, const std::vector<std::string>& own) {
    std::string names;
    for (const std::string& name : own) {
        names += (names.empty() ? "" : ", ") + name;
    }
    return error_response({403, "not_permitted",
                           "user " + std::to_string(request.user) +
                               " may GET /status, and recycle, scale, pause and resume pool " +
                               names + "; the rest is for root and [supervisor] operators"});
}

bool is_own(const Route& route, const PathValues& values, const std::vector<std::string>& own) {
    return route.for_owner && std::find(own.begin(), own.end(), values.front()) != own.end();
}

/// No exception but a cancellation leaves, so that `||` ends with the job in any case.
asio::awaitable<ApiResult<JobEnd>> wait_for_job(ControlApi& api, std::string pool,
                                                SubmitRequest request) {
    std::string failure;
    try {
        co_return co_await api.submit_and_wait(std::move(pool), std::move(request.task),
                                               std::move(request.ids), request.priority);
    } catch (const std::exception& error) {
        failure = error.what();
    }
    co_return ApiError{500, "internal", failure};
}

}  // namespace

HttpResponse error_response(const ApiError& error) {
    return {error.http_status, to_text(to_json(error)) + '\n', "application/json", ""};
}

asio::awaitable<HttpResponse> Router::handle(HttpRequest request, Access access,
                                             ClientGone client_gone) {
    const std::string_view target = request.target;
    const std::string_view path = target.substr(0, target.find('?'));
    std::string allow;
    const bool limited = access == Access::own_pools;
    const std::vector<std::string> own =
        limited ? api_.pools_of(request.user) : std::vector<std::string>();
    for (const Route& route : routes()) {
        auto values = match(route.pattern, path);
        if (!values) {
            continue;
        }
        const bool same =
            request.method == route.method || (request.method == "HEAD" && route.method == "GET");
        if (!same || (access == Access::read_only && route.method != "GET")) {
            allow = route.method;
            continue;
        }
        if (limited && route.pattern == "/status") {
            co_return own_status(own);
        }
        if (limited && !is_own(route, *values, own)) {
            co_return forbidden(request, own);
        }
        if (route.answer != nullptr) {
            co_return route.answer(api_, *values, request.body);
        }
        co_return co_await submit(std::move(values->front()), std::move(request.body),
                                  std::move(client_gone));
    }
    co_return allow.empty() ? unknown_path(path) : wrong_method(request, path, allow, access);
}

HttpResponse Router::own_status(const std::vector<std::string>& own) {
    Snapshot snapshot = api_.snapshot();
    std::erase_if(snapshot.pools, [&own](const PoolSnapshot& pool) {
        return std::find(own.begin(), own.end(), pool.name) == own.end();
    });
    return {200, to_text(to_json(snapshot)) + '\n'};
}

asio::awaitable<HttpResponse> Router::submit(std::string pool, std::string body,
                                             ClientGone client_gone) {
    using namespace asio::experimental::awaitable_operators;
    auto request = read_submit(body);
    if (!request) {
        co_return error_response(request.error());
    }
    if (!request->wait) {
        const auto id = api_.submit(pool, request->task, request->ids, request->priority);
        if (!id) {
            co_return error_response(id.error());
        }
        co_return HttpResponse{202, to_text(json::object{{"job_id", *id}}) + '\n'};
    }
    const auto ended =
        co_await (wait_for_job(api_, std::move(pool), std::move(*request)) || client_gone());
    if (ended.index() == 1) {
        co_return error_response({499, "client_gone", "the client left before the job ended"});
    }
    const ApiResult<JobEnd>& end = std::get<0>(ended);
    if (!end) {
        co_return error_response(end.error());
    }
    co_return HttpResponse{200, to_text(to_json(*end)) + '\n'};
}

}  // namespace supervise::control
