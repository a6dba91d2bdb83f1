#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "ipc/message.hpp"
#include "ipc/utf8.hpp"
#include "ipc/wire.hpp"

namespace supervise::ipc {

namespace {

void require(bool holds, const char* what) {
    if (!holds) {
        throw std::length_error(what);
    }
}

}  // namespace

/// Appends fields to a frame whose header is filled in last.
class Writer {
  public:
    explicit Writer(Frame& frame) : frame_(frame) { frame_.size_ = header_size; }

    template <class Number>
    void number(Number value) {
        char* const at = extend(sizeof value);
        for (std::size_t i = 0; i < sizeof value; ++i) {
            at[i] = static_cast<char>((value >> (8 * i)) & 0xff);
        }
    }
    void bytes(std::string_view data) {
        if (!data.empty()) {  // memcpy takes no null, even for nothing
            std::memcpy(extend(data.size()), data.data(), data.size());
        }
    }
    void text8(std::string_view text) {
        require(text.size() <= max_text, "a name in a frame has more than 255 bytes");
        number(static_cast<std::uint8_t>(text.size()));
        bytes(text);
    }
    /// The last field: whatever its size, it is made to fit.
    void message(std::string_view text) {
        const std::size_t room = max_frame - frame_.size_ - sizeof(std::uint16_t);
        const std::string_view kept = keep_beginning(text, room);
        number(static_cast<std::uint16_t>(kept.size()));
        bytes(kept);
        make_text(frame_.data_.data() + frame_.size_ - kept.size(), kept.size());
    }
    void text16(std::string_view text) {
        require(text.size() <= max_frame, "a message needs more than 1024 bytes");
        number(static_cast<std::uint16_t>(text.size()));
        bytes(text);
    }
    void args(std::string_view encoded) {
        require(!encoded.empty() && encoded.size() <= max_args,
                "a job's arguments do not have 1 to 960 bytes");
        bytes(encoded);
    }
    void report(std::string_view encoded) {
        require(!encoded.empty() && encoded.size() <= max_report,
                "a report does not have 1 to 1000 bytes");
        bytes(encoded);
    }
    void count(std::size_t entries) {
        require(entries >= 1 && entries <= 0xffff, "a frame does not have 1 to 65535 entries");
        count_ = static_cast<std::uint16_t>(entries);
    }
    void flag(unsigned bit, bool on) {
        flags_ = static_cast<std::uint8_t>(flags_ | (on ? bit : 0));
    }

    void finish(Type type) {
        const auto size = static_cast<std::uint16_t>(frame_.size_);
        frame_.size_ = 0;
        number(magic);
        number(static_cast<std::uint8_t>(type));
        number(size);
        number(count_);
        number(flags_);
        number(std::uint8_t{0});
        frame_.size_ = size;
    }

  private:
    char* extend(std::size_t size) {
        require(size <= max_frame - frame_.size_, "a message needs more than 1024 bytes");
        char* const at = frame_.data_.data() + frame_.size_;
        frame_.size_ += size;
        return at;
    }

    Frame& frame_;
    std::uint16_t count_ = 0;
    std::uint8_t flags_ = 0;
};

namespace {

void write(Writer& out, const Hello& hello) {
    out.number(hello.version_min);
    out.number(hello.version_max);
    out.number(static_cast<std::uint8_t>(hello.role));
    out.number(hello.pid);
    out.text8(hello.software);
}

void write(Writer& out, const Welcome& welcome) {
    out.number(welcome.version);
    out.number(welcome.limit);
    out.number(welcome.slot);
    out.number(welcome.incarnation);
    out.text8(welcome.pool);
    out.text8(welcome.software);
    out.flag(flag_descriptor, welcome.descriptor);
}

std::uint32_t limit_of(const std::optional<std::uint32_t>& limit) {
    require(!limit || *limit != pools_own_limit, "a time limit has more than 4294967294 ms");
    return limit.value_or(pools_own_limit);
}

void write(Writer& out, const Register& message) {
    out.count(message.tasks.size());
    for (const TaskInfo& task : message.tasks) {
        require(!task.retries || *task.retries <= max_retries, "a task has more than 100 retries");
        out.text8(task.name);
        out.number(limit_of(task.soft_time_limit_ms));
        out.number(limit_of(task.time_limit_ms));
        out.number(task.retries.value_or(pools_own_retries));
    }
}

void write(Writer& out, const StartFailed& failure) {
    out.text8(failure.type);
    out.message(failure.message);
}

void write(Writer& out, const Job& job) {
    require(job.attempt >= 1, "a job's first attempt has the number 1");
    out.flag(flag_descriptor, job.descriptor);
    out.number(job.id);
    out.number(job.attempt);
    out.number(job.soft_deadline_ns);
    out.number(job.deadline_ns);
    out.text8(job.task);
    out.args(job.args);
}

void write(Writer& out, const Done& done) {
    out.flag(flag_descriptor, done.descriptor);
    out.number(done.id);
    out.report(done.report);
}

void require_call(std::string_view task, std::string_view args) {
    require(1 + task.size() + args.size() <= max_call,
            "a job's task and arguments have more than 990 bytes");
}

void write(Writer& out, const Submit& submit) {
    require(submit.priority <= max_priority, "a priority is above 9");
    out.count(submit.jobs.size());
    out.number(submit.first_tag);
    out.number(submit.priority);
    out.text8(submit.task);
    for (const std::string_view args : submit.jobs) {
        require_call(submit.task, args);
        out.args(args);
    }
}

void write(Writer& out, const Accepted& accepted) {
    out.count(accepted.count);
    out.number(accepted.first_tag);
    out.number(accepted.first_id);
}

void write(Writer& out, const Refused& refused) {
    out.count(refused.count);
    out.number(refused.first_tag);
    out.number(static_cast<std::uint8_t>(refused.reason));
    out.message(refused.message);
}

void write(Writer& out, const ResultBatch& results) {
    require(!results.descriptor || results.entries.size() == 1,
            "a descriptor comes with the result of one job only");
    out.count(results.entries.size());
    out.flag(flag_descriptor, results.descriptor);
    for (const ResultEntry& entry : results.entries) {
        require(entry.state >= JobState::done, "a result is of a job that has not ended");
        out.number(entry.id);
        out.number(static_cast<std::uint8_t>(entry.state));
        out.number(entry.attempts);
        out.report(entry.report);
    }
}

void write(Writer& out, const Cancel& cancel) {
    out.count(cancel.ids.size());
    out.flag(flag_terminate, cancel.terminate);
    for (const std::uint64_t id : cancel.ids) {
        out.number(id);
    }
}

void write(Writer& out, const Trimmed& trimmed) { out.number(trimmed.collected); }
void write(Writer& out, const Ping& ping) { out.number(ping.token); }
void write(Writer& out, const Pong& pong) { out.number(pong.token); }

void write(Writer& out, const Close& close) {
    out.number(static_cast<std::uint8_t>(close.reason));
    out.message(close.message);
}

void write(Writer& out, const Fork& fork) {
    require(fork.joins <= max_joins, "a worker joins more than 2 cgroups");
    out.flag(flag_descriptor, true);
    out.number(fork.number);
    out.number(static_cast<std::uint8_t>(fork.born));
    out.number(fork.joins);
}

void write(Writer& out, const Forked& forked) {
    out.number(forked.number);
    out.number(forked.pid);
    out.message(forked.message);
}

void write(Writer& out, const Unsafe& unsafe) {
    out.count(unsafe.findings.size());
    for (const std::string_view finding : unsafe.findings) {
        out.text16(finding);
    }
}

void write(Writer& out, const Call& call) {
    require(call.priority <= max_priority, "a priority is above 9");
    out.flag(flag_descriptor, true);
    out.number(call.tag);
    out.number(call.priority);
    out.number(limit_of(call.soft_time_limit_ms));
    out.number(limit_of(call.time_limit_ms));
    out.text8(call.task);
    out.text8(call.key);
}

void write(Writer& out, const Begun& begun) {
    out.number(begun.id);
    out.number(begun.pid);
    out.number(begun.time_ns);
}

void write(Writer& out, const Soft& soft) { out.number(soft.id); }

void write(Writer& out, const Signal& signal) {
    require(signal.number >= 1 && signal.number <= max_signal, "a signal is not one of 1 to 64");
    out.number(signal.id);
    out.number(signal.number);
}

void write(Writer& out, const JobBatch& batch) {
    out.count(batch.jobs.size());
    out.text8(batch.task);
    for (const JobBatch::Entry& job : batch.jobs) {
        require(job.attempt >= 1, "a job's first attempt has the number 1");
        require_call(batch.task, job.args);
        out.number(job.id);
        out.number(job.attempt);
        out.args(job.args);
    }
}

void write(Writer& out, const Size& size) { out.number(size.workers); }

void write(Writer&, const Ready&) {}
void write(Writer&, const Trim&) {}
void write(Writer&, const Retire&) {}

}  // namespace

Frame encode(const Message& message) {
    Frame frame;
    Writer out(frame);
    std::visit([&out](const auto& body) { write(out, body); }, message);
    out.finish(type_of(message));
    return frame;
}

bool has_descriptor(const Message& message) {
    return std::visit(
        [](const auto& body) {
            if constexpr (requires { body.descriptor; }) {
                return body.descriptor;
            } else {
                using Body = std::decay_t<decltype(body)>;
                return std::is_same_v<Body, Fork> || std::is_same_v<Body, Call>;
            }
        },
        message);
}

bool add_result_size(std::size_t& used, std::size_t report) {
    const std::size_t entry = sizeof(ResultEntry::id) + sizeof(ResultEntry::state) +
                              sizeof(ResultEntry::attempts) + report;
    if (used + entry > max_frame) {
        return false;
    }
    used += entry;
    return true;
}

}  // namespace supervise::ipc
