#include "commands.hpp"

#include <poll.h>

#include <cstdlib>
#include <ostream>
#include <thread>

#include "config/load.hpp"
#include "control_client.hpp"
#include "ending.hpp"
#include "status_view.hpp"
#include "supervisor/control/json.hpp"
#include "supervisor/control/routes.hpp"

namespace supervise::cli {
namespace json = boost::json;

namespace {

/// For an answer that the supervisor has at hand; a reload reads a file and starts nothing.
constexpr Duration answer_time = std::chrono::seconds(10);

Duration seconds(double number) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number));
}

int check(const CommandLine& line, const Streams& streams) {
    const config::Loaded loaded = config::load_file(line.config);
    streams.err << loaded.report();
    if (loaded.has_errors()) {
        return exit_config;
    }
    streams.out << config::effective_toml(loaded.settings);
    return exit_done;
}

/// Nothing when --config named a file that cannot be used; then it has been said why.
std::optional<std::string> find_runtime_dir(const CommandLine& line, const Streams& streams) {
    if (!line.runtime_dir.empty()) {
        return line.runtime_dir;
    }
    if (!line.config.empty()) {
        const config::Loaded loaded = config::load_file(line.config);
        if (loaded.has_errors()) {
            streams.err << loaded.report();
            return std::nullopt;
        }
        return loaded.settings.supervisor.runtime_dir;
    }
    const char* given = std::getenv("SUPERVISE_RUNTIME_DIR");
    return given != nullptr && *given != '\0' ? std::string(given) : config::default_runtime_dir();
}

/// One command's talk with the supervisor.
class Talk {
  public:
    Talk(const CommandLine& line, const Streams& streams, const std::string& runtime_dir)
        : line_(line), streams_(streams), client_(runtime_dir + "/control.sock") {}

    int run();

  private:
    int status();
    int show_status();
    int doctor();
    int submit();
    int why();
    int reload();
    int stop();
    int change_pool();

    /// The JSON of a good answer; else an exit code, with the reason said.
    std::variant<json::value, int> answer(const Result<Reply>& reply) const;
    std::variant<json::value, int> get(const std::string& target) const {
        return answer(client_.get(target, answer_time));
    }
    std::variant<json::value, int> post(const std::string& target, const json::object& body,
                                        std::optional<Duration> limit = answer_time) const {
        return answer(client_.post(target, control::to_text(body), limit));
    }
    std::string pool_path(const std::string& act) const {
        return "/pools/" + control::percent_encode(line_.pool) + '/' + act;
    }

    const CommandLine& line_;
    const Streams& streams_;
    ControlClient client_;
};

int Talk::run() {
    switch (line_.command) {
        case CommandLine::Command::status:
            return status();
        case CommandLine::Command::doctor:
            return doctor();
        case CommandLine::Command::submit:
            return submit();
        case CommandLine::Command::why:
            return why();
        case CommandLine::Command::reload:
            return reload();
        case CommandLine::Command::stop:
            return stop();
        default:
            return change_pool();
    }
}

std::variant<json::value, int> Talk::answer(const Result<Reply>& reply) const {
    if (!reply) {
        return end_without_answer(reply.error(), client_.socket_path(), streams_.err);
    }
    if (reply->status >= 300) {
        return end_refused(*reply, streams_.err);
    }
    auto body = control::parse_json(reply->body);
    if (!body) {
        streams_.err << "supervise: the supervisor's answer is odd: " << body.error().message
                     << '\n';
        return exit_failed;
    }
    return std::move(*body);
}

int Talk::status() {
    if (!line_.watch) {
        return show_status();
    }
    for (;;) {  // until Ctrl-C, or until the supervisor has gone
        const int code = show_status();
        if (code != exit_done) {
            return code;
        }
        std::this_thread::sleep_for(seconds(*line_.watch));
    }
}

int Talk::show_status() {
    const auto found = get("/status");
    if (const int* code = std::get_if<int>(&found)) {
        return *code;
    }
    const auto& value = std::get<json::value>(found);
    std::string text = line_.json
                           ? control::to_text(value) + '\n'
                           : status_text(control::snapshot_from_json(value), streams_.columns);
    if (line_.watch && streams_.screen && !line_.json) {
        text = "\x1b[H\x1b[2J" + text;  // home, and clear
    } else if (line_.watch && !line_.json) {
        text += '\n';
    }
    streams_.out << text << std::flush;
    return exit_done;
}

int Talk::doctor() {
    const auto found = get("/status");
    if (const int* code = std::get_if<int>(&found)) {
        return *code;
    }
    streams_.out << doctor_text(control::snapshot_from_json(std::get<json::value>(found)));
    return exit_done;
}

int Talk::submit() {
    json::array ids;
    for (const ipc::Id& id : line_.ids) {
        ids.push_back(control::to_json(id));
    }
    std::optional<Duration> limit = answer_time;
    if (line_.wait) {
        limit = line_.timeout ? std::optional(seconds(*line_.timeout)) : std::nullopt;
    }
    const Result<Reply> reply =
        client_.post(pool_path("jobs"),
                     control::to_text(json::object{{"task", line_.task},
                                                   {"ids", std::move(ids)},
                                                   {"priority", line_.priority},
                                                   {"wait", line_.wait}}),
                     limit);
    if (line_.wait && !reply && reply.error().code.value() == ETIMEDOUT) {
        streams_.err << "supervise: the job has not ended in " << *line_.timeout
                     << " s; it goes on, see `supervise status`\n";
        return exit_failed;
    }
    const auto end = answer(reply);
    if (const int* code = std::get_if<int>(&end)) {
        return *code;
    }
    const auto& value = std::get<json::value>(end);
    if (line_.wait) {
        return end_of_job(value, streams_.out, streams_.err);
    }
    streams_.out << control::to_text(value.at("job_id")) << '\n';
    return exit_done;
}

int Talk::why() {
    const auto found = get(line_.pool.empty() ? "/why/" + std::to_string(line_.job)
                                              : "/why/" + control::percent_encode(line_.pool) +
                                                    '/' + std::to_string(line_.slot.value_or(0)));
    if (const int* code = std::get_if<int>(&found)) {
        return *code;
    }
    streams_.out << explanation_text(control::explanation_from_json(std::get<json::value>(found)),
                                     streams_.columns);
    return exit_done;
}

int Talk::reload() {
    const auto found = post("/reload", {});
    if (const int* code = std::get_if<int>(&found)) {
        return *code;
    }
    const json::array& changes = std::get<json::value>(found).at("changes").as_array();
    for (const json::value& change : changes) {
        streams_.out << std::string_view(change.as_string()) << '\n';
    }
    if (changes.empty()) {
        streams_.out << "nothing has changed\n";
    }
    return exit_done;
}

int Talk::stop() {
    UniqueFd process;
    if (line_.wait) {
        auto found = client_.supervisor_process();
        if (!found) {
            return end_without_answer(found.error(), client_.socket_path(), streams_.err);
        }
        process = std::move(*found);
    }
    const auto stopped = post("/stop", {});
    if (const int* code = std::get_if<int>(&stopped)) {
        return *code;
    }
    if (line_.wait) {
        pollfd gone{process.get(), POLLIN, 0};
        while (::poll(&gone, 1, -1) < 0 && errno == EINTR) {
        }
    }
    return exit_done;
}

int Talk::change_pool() {
    using Command = CommandLine::Command;
    std::string act;
    json::object body;
    switch (line_.command) {
        case Command::recycle:
            act = "recycle";
            if (line_.slot) {
                body["slot"] = *line_.slot;
            }
            if (line_.front) {
                body["front"] = true;
            }
            if (line_.renew_template) {
                body["template"] = true;
            }
            break;
        case Command::scale:
            act = "scale";
            body["workers"] = line_.workers;
            break;
        default:
            act = line_.command == Command::pause ? "pause" : "resume";
    }
    const auto done = post(pool_path(act), body);
    if (const int* code = std::get_if<int>(&done)) {
        return *code;
    }
    if (line_.renew_template) {
        streams_.out << "pool " << line_.pool << ": generation "
                     << control::to_text(std::get<json::value>(done).at("generation"))
                     << " is being imported; supervise status shows when it serves\n";
    } else if (line_.front) {
        streams_.out << "front " << control::to_text(std::get<json::value>(done).at("front"))
                     << " of " << line_.pool
                     << " will take over; supervise status shows when it is ready\n";
    } else if (line_.command == Command::recycle) {
        streams_.out << control::to_text(std::get<json::value>(done).at("asked"))
                     << " worker(s) of " << line_.pool << " will be replaced\n";
    } else if (line_.command == Command::scale) {
        streams_.out << line_.pool << " will have " << line_.workers << " worker(s)\n";
    } else {
        streams_.out << line_.pool << (act == "pause" ? " begins no new job\n" : " runs\n");
    }
    return exit_done;
}

}  // namespace

int run_command(const CommandLine& line, const Streams& streams) {
    if (line.command == CommandLine::Command::check) {
        return check(line, streams);
    }
    const auto runtime_dir = find_runtime_dir(line, streams);
    if (!runtime_dir) {
        return exit_config;
    }
    return Talk(line, streams, *runtime_dir).run();
}

}  // namespace supervise::cli
