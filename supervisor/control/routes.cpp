#include "routes.hpp"

#include <charconv>

#include "json.hpp"
#include "metrics.hpp"
#include "requests.hpp"

namespace supervise::control {
namespace json = boost::json;

namespace {

HttpResponse answer_json(const json::object& object, unsigned status = 200) {
    return {status, to_text(object) + '\n', "application/json", ""};
}

HttpResponse get_root(ControlApi&, const PathValues&, const std::string&) {
    std::string text = "supervise: the control plane\n\n";
    for (const Route& route : routes()) {
        std::string line = std::string(route.method) + ' ' + std::string(route.pattern);
        line.resize(std::max<std::size_t>(line.size() + 2, 30), ' ');
        text += line + std::string(route.summary) + '\n';
    }
    return {200, text, "text/plain; charset=utf-8", ""};
}

HttpResponse get_status(ControlApi& api, const PathValues&, const std::string&) {
    return answer_json(to_json(api.snapshot()));
}

HttpResponse get_healthz(ControlApi& api, const PathValues&, const std::string&) {
    const Snapshot snapshot = api.snapshot();
    if (snapshot.stopping) {
        return error_response({503, "stopping", "the supervisor is stopping"});
    }
    for (const PoolSnapshot& pool : snapshot.pools) {
        if (pool.state == "degraded") {
            return error_response({503, "degraded", "pool " + pool.name + ": " + pool.advice});
        }
    }
    return {200, "ok\n", "text/plain; charset=utf-8", ""};
}

HttpResponse get_metrics(ControlApi& api, const PathValues&, const std::string&) {
    return {200, metrics_text(api.snapshot()), "text/plain; version=0.0.4; charset=utf-8", ""};
}

template <class Number>
std::optional<Number> parse_number(const std::string& text) {
    Number number = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end ? std::optional(number) : std::nullopt;
}

HttpResponse answer_why(const ApiResult<Explanation>& explanation) {
    return explanation ? answer_json(to_json(*explanation)) : error_response(explanation.error());
}

HttpResponse get_why_job(ControlApi& api, const PathValues& values, const std::string&) {
    const auto id = parse_number<JobId>(values[0]);
    if (!id) {
        return error_response({400, "bad_request",
                               "a job's ID is a whole number, as in /why/812; a worker is "
                               "/why/POOL/SLOT"});
    }
    return answer_why(api.why_job(*id));
}

HttpResponse get_why_worker(ControlApi& api, const PathValues& values, const std::string&) {
    const auto slot = parse_number<unsigned>(values[1]);
    if (!slot) {
        return error_response({400, "bad_request", "a slot is a whole number from 1"});
    }
    return answer_why(api.why_worker(values[0], *slot));
}

HttpResponse post_recycle(ControlApi& api, const PathValues& values, const std::string& body) {
    const auto request = read_recycle(body);
    if (!request) {
        return error_response(request.error());
    }
    if (request->renew_template) {
        const auto generation = api.renew_template(values[0]);
        return generation ? answer_json({{"pool", values[0]}, {"generation", *generation}})
                          : error_response(generation.error());
    }
    if (request->front) {
        const auto next = api.recycle_front(values[0]);
        return next ? answer_json({{"pool", values[0]}, {"front", *next}})
                    : error_response(next.error());
    }
    const auto asked = api.recycle(values[0], request->slot);
    return asked ? answer_json({{"pool", values[0]}, {"asked", *asked}})
                 : error_response(asked.error());
}

HttpResponse post_scale(ControlApi& api, const PathValues& values, const std::string& body) {
    const auto request = read_scale(body);
    if (!request) {
        return error_response(request.error());
    }
    const unsigned workers = request->workers;
    const auto scaled =
        request->most ? api.set_max(values[0], workers) : api.scale(values[0], workers);
    const char* const key = request->most ? "max" : "workers";
    return scaled ? answer_json({{"pool", values[0]}, {key, workers}})
                  : error_response(scaled.error());
}

HttpResponse post_pause(ControlApi& api, const PathValues& values, const std::string& body) {
    if (const auto nothing = read_nothing(body); !nothing) {
        return error_response(nothing.error());
    }
    const auto paused = api.pause(values[0]);
    return paused ? answer_json({{"pool", values[0]}, {"paused", true}})
                  : error_response(paused.error());
}

HttpResponse post_resume(ControlApi& api, const PathValues& values, const std::string& body) {
    if (const auto nothing = read_nothing(body); !nothing) {
        return error_response(nothing.error());
    }
    const auto resumed = api.resume(values[0]);
    return resumed ? answer_json({{"pool", values[0]}, {"paused", false}})
                   : error_response(resumed.error());
}

HttpResponse post_reload(ControlApi& api, const PathValues&, const std::string& body) {
    if (const auto nothing = read_nothing(body); !nothing) {
        return error_response(nothing.error());
    }
    const auto report = api.reload();
    return report ? answer_json(to_json(*report)) : error_response(report.error());
}

HttpResponse post_stop(ControlApi& api, const PathValues&, const std::string& body) {
    if (const auto nothing = read_nothing(body); !nothing) {
        return error_response(nothing.error());
    }
    api.stop();
    return answer_json({{"stopping", true}}, 202);
}

constexpr Route table[] = {
    {"GET", "/", "this text", get_root},
    {"GET", "/status", "everything, as JSON", get_status},
    {"GET", "/healthz", "200 \"ok\", or 503 when a pool is degraded", get_healthz},
    {"GET", "/metrics", "for Prometheus", get_metrics},
    {"GET", "/why/{job}", "what happened to a job, on what evidence", get_why_job},
    {"GET", "/why/{pool}/{slot}", "the same for a slot's workers", get_why_worker},
    {"POST", "/pools/{pool}/jobs",
     R"({"task": T, "ids": [...], "priority": 0..9, "wait": false} -> {"job_id": N})", nullptr},
    {"POST", "/pools/{pool}/recycle",
     R"({"slot": N}, {"template": true}, {"front": true} or nothing: replace one, or all workers)",
     post_recycle, true},
    {"POST", "/pools/{pool}/scale", R"({"workers": N}, or {"max": N})", post_scale, true},
    {"POST", "/pools/{pool}/pause", "begin no new job", post_pause, true},
    {"POST", "/pools/{pool}/resume", "undo pause; reset a degraded pool", post_resume, true},
    {"POST", "/reload", "read the config file again and apply the difference", post_reload},
    {"POST", "/stop", "drain and end", post_stop},
};

int hex_digit(char letter) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto at =
        digits.find(static_cast<char>(letter >= 'A' && letter <= 'F' ? letter | 0x20 : letter));
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

std::optional<std::string> percent_decode(std::string_view segment) {
    std::string text;
    for (std::size_t at = 0; at < segment.size(); ++at) {
        if (segment[at] != '%') {
            text += segment[at];
            continue;
        }
        const int high = at + 2 < segment.size() ? hex_digit(segment[at + 1]) : -1;
        const int low = high >= 0 ? hex_digit(segment[at + 2]) : -1;
        if (low < 0) {
            return std::nullopt;
        }
        text += static_cast<char>(high << 4 | low);
        at += 2;
    }
    return text;
}

/// Takes the part up to the next '/' off `path`, which begins with one.
std::string_view next_segment(std::string_view& path) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    return segment;
}

}  // namespace

std::span<const Route> routes() { return table; }

std::optional<PathValues> match(std::string_view pattern, std::string_view path) {
    PathValues values;
    while (!pattern.empty() && !path.empty() && path.front() == '/') {
        const std::string_view wanted = next_segment(pattern);
        const std::string_view segment = next_segment(path);
        if (!wanted.empty() && wanted.front() == '{') {
            auto value = percent_decode(segment);
            if (!value || value->empty()) {
                return std::nullopt;
            }
            values.push_back(std::move(*value));
        } else if (wanted != segment) {
            return std::nullopt;
        }
    }
    return pattern.empty() && path.empty() ? std::optional(std::move(values)) : std::nullopt;
}

std::string percent_encode(std::string_view segment) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string text;
    for (const char letter : segment) {
        const bool plain = (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
                           (letter >= 'A' && letter <= 'Z') ||
                           std::string_view("-._~").find(letter) != std::string_view::npos;
        if (plain) {
            text += letter;
        } else {
            const auto byte = static_cast<unsigned char>(letter);
            text += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return text;
}

}  // namespace supervise::control
