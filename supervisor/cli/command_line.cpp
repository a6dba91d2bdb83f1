#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "cli.hpp"
#include "help.hpp"
#include "id_argument.hpp"
#include "ipc/limits.hpp"

namespace supervise::cli {

namespace {

using Command = CommandLine::Command;

constexpr const char* version_text = "supervise " SUPERVISE_VERSION;

template <class Number>
std::optional<Number> whole_number(const std::string& text) {
    Number number = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end ? std::optional(number) : std::nullopt;
}

/// The definition of the command line, and where it puts what it reads.
class Parser {
  public:
    Parser();
    std::variant<CommandLine, Said> parse(int argc, const char* const* argv);

  private:
    CLI::App* add(Command command, const std::string& name, const std::string& what,
                  const char* footer);
    void add_submit();
    void add_pool_commands();
    std::vector<std::string> words_of(int argc, const char* const* argv);
    void finish();
    void finish_ids();
    void finish_target();
    Said wrong(const std::string& message) const;

    CLI::App app_{
        "Keeps pools of Python workers: hands them jobs, and replaces each one before "
        "it grows.",
        "supervise"};
    std::vector<std::pair<CLI::App*, Command>> commands_;
    CommandLine line_;
    std::vector<std::string> ids_;
    std::vector<std::string> behind_dashes_;
    std::string target_;  ///< POOL/SLOT or a job
    std::string check_file_;
    CLI::Option* watch_ = nullptr;
    std::string watch_seconds_;
    double timeout_ = 0;
    CLI::Option* timeout_option_ = nullptr;
};

Parser::Parser() {
    app_.footer(main_footer);
    app_.set_version_flag("--version", version_text, "print the version");
    app_.require_subcommand(0, 1);
    app_.fallthrough();
    app_.add_option("--config", line_.config, "the config file")->option_text("FILE");
    app_.add_option("--lifeline", line_.lifeline,
                    "kill the workers and end when this pipe's end reads end of file")
        ->option_text("FD")
        ->check(CLI::Range(0, 1 << 20));
    app_.add_option("--runtime-dir", line_.runtime_dir, "where the supervisor's sockets are")
        ->option_text("DIR");

    add(Command::run, "run", "run the pools in the foreground (also without `run`)", run_footer);
    add(Command::check, "check", "check a config file and print its effective values", check_footer)
        ->add_option("file", check_file_, "the config file");

    CLI::App* status = add(Command::status, "status", "show pools and workers", status_footer);
    status->add_flag("--json", line_.json, "as JSON, one line");
    watch_ = status->add_option("--watch", watch_seconds_, "again every SECONDS (2)")
                 ->expected(0, 1)
                 ->option_text("[SECONDS]");
    add(Command::doctor, "doctor", "show what this host gives, and what is emulated",
        doctor_footer);
    add_submit();
    add_pool_commands();
    add(Command::reload, "reload", "apply the changed config file", reload_footer);
    CLI::App* stop = add(Command::stop, "stop", "drain and end the supervisor", stop_footer);
    stop->add_flag("--wait", line_.wait, "until it has gone");
    app_.add_subcommand("version", "print the version")->callback([] {
        throw CLI::CallForVersion(version_text, 0);
    });
    add(Command::why, "why", "what happened to a job or a worker, on what evidence", why_footer)
        ->add_option("target", target_, "a job's ID, or POOL/SLOT")
        ->required();
}

CLI::App* Parser::add(Command command, const std::string& name, const std::string& what,
                      const char* footer) {
    CLI::App* added = app_.add_subcommand(name, what);
    added->footer(footer);
    commands_.emplace_back(added, command);
    return added;
}

void Parser::add_submit() {
    CLI::App* submit = add(Command::submit, "submit", "hand in one job", submit_footer);
    submit->add_option("pool", line_.pool, "the pool")->required();
    submit->add_option("task", line_.task, "the task, module.function")->required();
    submit->add_option("ids", ids_, "its IDs")->expected(0, 1000);
    submit->add_option("--priority", line_.priority, "0 to 9; 9 goes first")
        ->check(CLI::Range(0, 9));
    CLI::Option* wait = submit->add_flag("--wait", line_.wait, "for its end, and print the result");
    timeout_option_ = submit->add_option("--timeout", timeout_, "wait at most SECONDS")
                          ->check(CLI::PositiveNumber)
                          ->needs(wait)
                          ->option_text("SECONDS");
}

void Parser::add_pool_commands() {
    CLI::App* recycle =
        add(Command::recycle, "recycle", "replace workers, without a gap", recycle_footer);
    recycle->add_option("target", target_, "POOL, or POOL/SLOT")->required();
    recycle->add_flag("--template", line_.renew_template,
                      "import the application anew, and let all workers follow");
    recycle->add_flag("--front", line_.front,
                      "of a Celery pool: have a second front take over from the first");
    CLI::App* scale = add(Command::scale, "scale", "set a pool's number of workers", scale_footer);
    scale->add_option("pool", line_.pool, "the pool")->required();
    scale->add_option("workers", line_.workers, "how many")->required()->check(CLI::Range(0, 1024));
    add(Command::pause, "pause", "begin no new job in a pool", pause_footer)
        ->add_option("pool", line_.pool, "the pool")
        ->required();
    add(Command::resume, "resume", "undo pause, reset a degraded pool", resume_footer)
        ->add_option("pool", line_.pool, "the pool")
        ->required();
}

Said Parser::wrong(const std::string& message) const {
    std::string text = "supervise: " + message + '\n';
    std::string command = "supervise";
    for (const auto& [app, value] : commands_) {
        if (app->parsed()) {
            command += ' ' + app->get_name();
        }
    }
    return {exit_usage, text + "  see `" + command + " --help`\n"};
}

/// What CLI11 gets: the words behind the program's name, last first. Two things of `submit` it
/// cannot do: behind "--" it has no optional words left, so they are kept for finish_ids(); and it
/// would take a text ID "[a,b]" apart, so such a one is marked as text, which means the same.
std::vector<std::string> Parser::words_of(int argc, const char* const* argv) {
    std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    const auto submit = std::find(words.begin(), words.end(), "submit");
    const auto dashes = std::find(submit, words.end(), "--");
    std::for_each(submit, dashes, [](std::string& word) {
        if (word.starts_with('[') && word.ends_with(']')) {
            word.insert(0, "text:");
        }
    });
    if (dashes != words.end()) {
        behind_dashes_.assign(dashes + 1, words.end());
        words.erase(dashes, words.end());
    }
    std::reverse(words.begin(), words.end());
    return words;
}

std::variant<CommandLine, Said> Parser::parse(int argc, const char* const* argv) {
    try {
        app_.parse(words_of(argc, argv));
        finish();
        return line_;
    } catch (const CLI::CallForHelp&) {
        return Said{exit_done, app_.help()};
    } catch (const CLI::CallForVersion& version) {
        return Said{exit_done, version.what() + std::string("\n")};
    } catch (const CLI::ExtrasError& error) {
        const bool submit = app_.got_subcommand("submit");
        return wrong(error.what() +
                     std::string(submit ? "; an ID with a dash before it goes behind --" : ""));
    } catch (const CLI::ParseError& error) {
        return wrong(error.what());
    }
}

/// What CLI11 cannot check by itself.
void Parser::finish() {
    const CLI::App* chosen = nullptr;
    for (const auto& [app, command] : commands_) {
        if (app->parsed()) {
            chosen = app;
            line_.command = command;
        }
    }
    if (line_.command == Command::check && !check_file_.empty()) {
        line_.config = check_file_;
    }
    const bool needs_config = line_.command == Command::run || line_.command == Command::check;
    if (needs_config && line_.config.empty()) {
        throw CLI::ValidationError(chosen == nullptr ? "name a command, or a config file to run"
                                                     : "name a config file");
    }
    if (needs_config && !line_.runtime_dir.empty()) {
        throw CLI::ValidationError(
            "--runtime-dir says where a running supervisor is; a new one takes runtime_dir of "
            "[supervisor] in its config file");
    }
    if (line_.lifeline && line_.command != Command::run) {
        throw CLI::ValidationError("--lifeline is for run");
    }
    if (watch_->count() > 0) {
        const double seconds = watch_seconds_.empty() ? 2.0 : watch_->as<double>();
        if (!(seconds >= 0.1 && seconds <= 86'400)) {
            throw CLI::ValidationError("--watch takes seconds, from 0.1 to 86400");
        }
        line_.watch = seconds;
    }
    if (timeout_option_->count() > 0) {
        line_.timeout = timeout_;
    }
    if (line_.front && line_.renew_template) {
        throw CLI::ValidationError("--front and --template exclude each other");
    }
    finish_ids();
    finish_target();
}

void Parser::finish_ids() {
    ids_.insert(ids_.end(), behind_dashes_.begin(), behind_dashes_.end());
    if (ids_.size() > ipc::max_arg_count) {
        throw CLI::ValidationError("a job takes at most " + std::to_string(ipc::max_arg_count) +
                                   " IDs; keep the data in a store and pass its ID");
    }
    for (const std::string& argument : ids_) {
        auto id = parse_id_argument(argument);
        if (const auto* bad = std::get_if<BadId>(&id)) {
            throw CLI::ValidationError(bad->message);
        }
        line_.ids.push_back(std::move(std::get<ipc::Id>(id)));
    }
}

void Parser::finish_target() {
    if (target_.empty()) {
        return;
    }
    const std::size_t slash = target_.rfind('/');
    if (slash != std::string::npos) {
        line_.pool = target_.substr(0, slash);
        line_.slot = whole_number<unsigned>(target_.substr(slash + 1));
        if (!line_.slot || *line_.slot == 0 || line_.pool.empty()) {
            throw CLI::ValidationError(target_ + " is not POOL/SLOT; slots count from 1");
        }
        if (line_.front) {
            throw CLI::ValidationError("a front is the whole pool's: write " + line_.pool +
                                       " --front, without a slot");
        }
        if (line_.renew_template) {
            throw CLI::ValidationError("a template is the whole pool's: write " + line_.pool +
                                       " --template, without a slot");
        }
    } else if (line_.command == Command::recycle) {
        line_.pool = target_;
    } else if (const auto job = whole_number<std::uint64_t>(target_)) {
        line_.job = *job;
    } else {
        throw CLI::ValidationError(target_ + " is neither a job's ID nor POOL/SLOT");
    }
}

}  // namespace

std::variant<CommandLine, Said> parse_command_line(int argc, const char* const* argv) {
    return Parser().parse(argc, argv);
}

}  // namespace supervise::cli
