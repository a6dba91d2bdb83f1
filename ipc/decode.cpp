#include <algorithm>
#include <string>

#include "ipc/header.hpp"
#include "ipc/message.hpp"
#include "ipc/reader.hpp"
#include "ipc/wire.hpp"

namespace supervise::ipc {
namespace {

/// Nothing to reserve beyond what the frame can hold: a count of 65535 costs no memory.
std::size_t at_most(std::uint16_t count, const Reader& in, std::size_t entry_size) {
    return std::min<std::size_t>(count, in.left() / entry_size);
}

Hello read_hello(Reader& in) {
    Hello hello;
    hello.version_min = in.number<std::uint16_t>();
    hello.version_max = in.number<std::uint16_t>();
    const auto role = in.number<std::uint8_t>();
    if (role < static_cast<std::uint8_t>(Role::client) ||
        role > static_cast<std::uint8_t>(Role::front)) {
        in.fail("an unknown role");
    }
    hello.role = static_cast<Role>(role);
    hello.pid = in.number<std::uint32_t>();
    hello.software = in.text8();
    return hello;
}

Welcome read_welcome(Reader& in, const Header& header) {
    Welcome welcome;
    welcome.version = in.number<std::uint16_t>();
    welcome.limit = in.number<std::uint32_t>();
    welcome.slot = in.number<std::uint16_t>();
    welcome.incarnation = in.number<std::uint32_t>();
    welcome.pool = in.text8();
    welcome.software = in.text8();
    welcome.descriptor = header.has(flag_descriptor);
    return welcome;
}

std::optional<std::uint32_t> read_limit(Reader& in) {
    const auto limit = in.number<std::uint32_t>();
    return limit == pools_own_limit ? std::nullopt : std::optional(limit);
}

Register read_register(Reader& in, const Header& header) {
    Register message;
    message.tasks.reserve(at_most(header.count, in, 10));
    for (unsigned i = 0; i < header.count && in.ok(); ++i) {
        TaskInfo task;
        task.name = in.text8();
        task.soft_time_limit_ms = read_limit(in);
        task.time_limit_ms = read_limit(in);
        const auto retries = in.number<std::uint8_t>();
        if (retries != pools_own_retries) {
            if (retries > max_retries) {
                in.fail("more than 100 retries");
            }
            task.retries = retries;
        }
        message.tasks.push_back(task);
    }
    return message;
}

StartFailed read_start_failed(Reader& in) {
    StartFailed failure;
    failure.type = in.text8();
    failure.message = in.text16();
    return failure;
}

Job read_job(Reader& in, const Header& header) {
    Job job;
    job.id = in.number<std::uint64_t>();
    job.attempt = in.number<std::uint16_t>();
    if (job.attempt == 0) {
        in.fail("attempt 0");
    }
    job.soft_deadline_ns = in.number<std::uint64_t>();
    job.deadline_ns = in.number<std::uint64_t>();
    job.task = in.text8();
    job.args = in.args();
    job.descriptor = header.has(flag_descriptor);
    return job;
}

Done read_done(Reader& in, const Header& header) {
    Done done;
    done.id = in.number<std::uint64_t>();
    done.report = in.report_bytes(false);
    done.descriptor = header.has(flag_descriptor);
    return done;
}

Submit read_submit(Reader& in, const Header& header) {
    Submit submit;
    submit.first_tag = in.number<std::uint32_t>();
    submit.priority = in.number<std::uint8_t>();
    if (submit.priority > max_priority) {
        in.fail("a priority above 9");
    }
    submit.task = in.text8();
    submit.jobs.reserve(at_most(header.count, in, 1));
    for (unsigned i = 0; i < header.count && in.ok(); ++i) {
        submit.jobs.push_back(in.args());
        if (1 + submit.task.size() + submit.jobs.back().size() > max_call) {
            in.fail("a task and its arguments of more than 990 bytes");
        }
    }
    return submit;
}

Accepted read_accepted(Reader& in, const Header& header) {
    Accepted accepted;
    accepted.first_tag = in.number<std::uint32_t>();
    accepted.count = header.count;
    accepted.first_id = in.number<std::uint64_t>();
    return accepted;
}

Refusal read_reason(Reader& in) {
    const auto reason = in.number<std::uint8_t>();
    if (reason < static_cast<std::uint8_t>(Refusal::queue_full) ||
        reason > static_cast<std::uint8_t>(Refusal::no_hello)) {
        in.fail("an unknown reason");
    }
    return static_cast<Refusal>(reason);
}

Refused read_refused(Reader& in, const Header& header) {
    Refused refused;
    refused.first_tag = in.number<std::uint32_t>();
    refused.count = header.count;
    refused.reason = read_reason(in);
    refused.message = in.text16();
    return refused;
}

ResultBatch read_result(Reader& in, const Header& header) {
    ResultBatch results;
    results.entries.reserve(at_most(header.count, in, 13));
    for (unsigned i = 0; i < header.count && in.ok(); ++i) {
        ResultEntry entry;
        entry.id = in.number<std::uint64_t>();
        const auto state = in.number<std::uint8_t>();
        if (state < static_cast<std::uint8_t>(JobState::done) ||
            state > static_cast<std::uint8_t>(JobState::dead)) {
            in.fail("a state that is not an end");
        }
        entry.state = static_cast<JobState>(state);
        entry.attempts = in.number<std::uint16_t>();
        entry.report = in.report_bytes(true);
        results.entries.push_back(entry);
    }
    results.descriptor = header.has(flag_descriptor);
    return results;
}

Cancel read_cancel(Reader& in, const Header& header) {
    Cancel cancel;
    cancel.terminate = header.has(flag_terminate);
    cancel.ids.reserve(at_most(header.count, in, sizeof(std::uint64_t)));
    for (unsigned i = 0; i < header.count && in.ok(); ++i) {
        cancel.ids.push_back(in.number<std::uint64_t>());
    }
    return cancel;
}

Close read_close(Reader& in) {
    Close close;
    close.reason = read_reason(in);
    close.message = in.text16();
    return close;
}

Fork read_fork(Reader& in) {
    Fork fork;
    fork.number = in.number<std::uint32_t>();
    const auto born = in.number<std::uint8_t>();
    if (born > 1) {
        in.fail("a flag that is neither 0 nor 1");
    }
    fork.born = born == 1;
    fork.joins = in.number<std::uint8_t>();
    if (fork.joins > max_joins) {
        in.fail("more than 2 cgroups to join");
    }
    return fork;
}

Forked read_forked(Reader& in) {
    Forked forked;
    forked.number = in.number<std::uint32_t>();
    forked.pid = in.number<std::uint32_t>();
    forked.message = in.text16();
    return forked;
}

Unsafe read_unsafe(Reader& in, const Header& header) {
    Unsafe unsafe;
    unsafe.findings.reserve(at_most(header.count, in, sizeof(std::uint16_t)));
    for (unsigned i = 0; i < header.count && in.ok(); ++i) {
        unsafe.findings.push_back(in.text16());
    }
    return unsafe;
}

Call read_call(Reader& in) {
    Call call;
    call.tag = in.number<std::uint32_t>();
    call.priority = in.number<std::uint8_t>();
    if (call.priority > max_priority) {
        in.fail("a priority above 9");
    }
    call.soft_time_limit_ms = read_limit(in);
    call.time_limit_ms = read_limit(in);
    call.task = in.text8();
    call.key = in.text8();
    return call;
}

Begun read_begun(Reader& in) {
    Begun begun;
    begun.id = in.number<std::uint64_t>();
    begun.pid = in.number<std::uint32_t>();
    begun.time_ns = in.number<std::uint64_t>();
    return begun;
}

Signal read_signal(Reader& in) {
    Signal signal;
    signal.id = in.number<std::uint64_t>();
    signal.number = in.number<std::uint8_t>();
    if (signal.number < 1 || signal.number > max_signal) {
        in.fail("a signal that is not one of 1 to 64");
    }
    return signal;
}

JobBatch read_jobs(Reader& in, const Header& header) {
    JobBatch batch;
    batch.task = in.text8();
    batch.jobs.reserve(at_most(header.count, in, 11));
    for (unsigned i = 0; i < header.count && in.ok(); ++i) {
        JobBatch::Entry job;
        job.id = in.number<std::uint64_t>();
        job.attempt = in.number<std::uint16_t>();
        if (job.attempt == 0) {
            in.fail("attempt 0");
        }
        job.args = in.args();
        if (1 + batch.task.size() + job.args.size() > max_call) {
            in.fail("a task and its arguments of more than 990 bytes");
        }
        batch.jobs.push_back(job);
    }
    return batch;
}

Message read_body(Reader& in, const Header& header) {
    switch (header.type) {
        case Type::hello:
            return read_hello(in);
        case Type::welcome:
            return read_welcome(in, header);
        case Type::register_tasks:
            return read_register(in, header);
        case Type::ready:
            return Ready{};
        case Type::start_failed:
            return read_start_failed(in);
        case Type::job:
            return read_job(in, header);
        case Type::done:
            return read_done(in, header);
        case Type::submit:
            return read_submit(in, header);
        case Type::accepted:
            return read_accepted(in, header);
        case Type::refused:
            return read_refused(in, header);
        case Type::result:
            return read_result(in, header);
        case Type::cancel:
            return read_cancel(in, header);
        case Type::trim:
            return Trim{};
        case Type::trimmed:
            return Trimmed{in.number<std::uint32_t>()};
        case Type::retire:
            return Retire{};
        case Type::ping:
            return Ping{in.number<std::uint64_t>()};
        case Type::pong:
            return Pong{in.number<std::uint64_t>()};
        case Type::close:
            return read_close(in);
        case Type::fork:
            return read_fork(in);
        case Type::forked:
            return read_forked(in);
        case Type::unsafe:
            return read_unsafe(in, header);
        case Type::call:
            return read_call(in);
        case Type::begun:
            return read_begun(in);
        case Type::soft:
            return Soft{in.number<std::uint64_t>()};
        case Type::signal:
            return read_signal(in);
        case Type::jobs:
            return read_jobs(in, header);
        case Type::size:
            break;
    }
    return Size{in.number<std::uint32_t>()};
}

}  // namespace

std::variant<Message, DecodeError> decode(std::string_view frame) {
    const auto refuse = [frame](const std::string& why) {
        return DecodeError{"frame of " + std::to_string(frame.size()) + " bytes " + why};
    };
    Reader in(frame);
    std::string error;
    const Header header = read_header(in, frame.size(), error);
    if (!error.empty()) {
        return refuse(error);
    }
    Message message = read_body(in, header);
    if (in.ok() && in.left() != 0) {
        in.fail("bytes are left over");
    }
    if (!in.ok()) {
        return refuse(std::string("is a bad ") + name_of(header.type) + ": " + in.error() +
                      ", at byte " + std::to_string(in.error_at()));
    }
    return message;
}

}  // namespace supervise::ipc
