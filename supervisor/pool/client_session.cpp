#include "client_session.hpp"

#include <poll.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "worker_spec.hpp"

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr Duration hello_time = 10s;
constexpr Duration slow_time = 30s;
constexpr std::size_t most_out_bytes = 1024 * 1024;
/// Frames taken from one client before others have their turn.
constexpr int frames_per_turn = 32;
/// Results are held while they are fewer than this share of the client's open jobs: its jobs then
/// take longer by that share at most, and workers that it keeps busy do not run out of them.
constexpr std::size_t open_jobs_per_held = 8;

bool speaks_our_version(const ipc::Hello& hello) {
    return hello.version_min <= ipc::protocol_version && hello.version_max >= ipc::protocol_version;
}

}  // namespace

ClientSession::ClientSession(asio::any_io_executor executor, Clock& clock, ClientDesk& desk,
                             const JobDesk& jobs, UniqueFd socket)
    : clock_(clock),
      desk_(desk),
      jobs_(jobs),
      channel_(executor, std::move(socket)),
      group_(executor),
      opened_at_(clock.now()),
      moved_at_(opened_at_),
      out_changed_(executor, asio::steady_timer::time_point::max()) {}

asio::awaitable<void> ClientSession::run() {
    group_.spawn("client writer", write());
    group_.spawn("client reader", read());
    co_await group_.join();
}

asio::awaitable<void> ClientSession::read() {
    int turn = frames_per_turn;
    while (phase_ != Phase::closed) {
        if (phase_ == Phase::waiting) {
            co_await desk_.tasks_known();
            phase_ = Phase::open;
            ipc::Welcome welcome;
            welcome.limit = static_cast<std::uint32_t>(
                std::min<std::uint64_t>(desk_.queue_limit(), UINT32_MAX));
            welcome.pool = desk_.pool_name();
            welcome.software = software_name;
            send(ipc::encode(welcome).bytes());
            tell_size();
        }
        if (crowded()) {
            boost::system::error_code changed;
            co_await out_changed_.async_wait(asio::redirect_error(asio::use_awaitable, changed));
            continue;
        }
        ipc::Channel::Received received = channel_.receive();
        if (received.status == ipc::Channel::Received::Status::none) {
            turn = frames_per_turn;
            co_await channel_.wait_readable();
        } else if (received.status == ipc::Channel::Received::Status::closed) {
            break;
        } else if (received.truncated) {
            close(ipc::Refusal::bad_frame,
                  "a record has at most 1024 bytes and one descriptor; keep data in a store "
                  "and pass its ID");
        } else if (handle(received.frame, std::move(received.descriptor)) && --turn == 0) {
            turn = frames_per_turn;
            co_await asio::post(asio::use_awaitable);
        }
    }
    phase_ = Phase::closed;
    group_.cancel();
}

asio::awaitable<void> ClientSession::write() {
    for (;;) {
        if (out_.empty()) {
            boost::system::error_code changed;
            co_await out_changed_.async_wait(asio::redirect_error(asio::use_awaitable, changed));
            continue;
        }
        co_await channel_.wait_writable();
        while (!out_.empty()) {
            const ipc::Channel::SendStatus status =
                channel_.send(out_.front().frame, out_.front().descriptor.get());
            if (status == ipc::Channel::SendStatus::full) {
                break;
            }
            // A peer that has gone is the reader's to notice; its frames have no use.
            out_bytes_ -= out_.front().frame.size();
            out_.pop_front();
            moved_at_ = clock_.now();
        }
        out_changed_.cancel();
    }
}

bool ClientSession::handle(std::string_view frame, UniqueFd descriptor) {
    std::variant<ipc::Message, ipc::DecodeError> decoded = ipc::decode(frame);
    if (const auto* error = std::get_if<ipc::DecodeError>(&decoded)) {
        close(ipc::Refusal::bad_frame, error->message);
        return false;
    }
    const ipc::Message& message = std::get<ipc::Message>(decoded);
    if (ipc::has_descriptor(message) != static_cast<bool>(descriptor)) {
        close(ipc::Refusal::bad_frame, "the frame and its record do not agree on a descriptor");
        return false;
    }
    if (phase_ == Phase::hello) {
        return greet(message);
    }
    if (const auto* jobs = std::get_if<ipc::Submit>(&message)) {
        submit(*jobs);
    } else if (const auto* one = std::get_if<ipc::Call>(&message)) {
        call(*one, std::move(descriptor));
    } else if (const auto* signal = std::get_if<ipc::Signal>(&message)) {
        if (is_ours(signal->id)) {
            desk_.client_signals(signal->id, signal->number);
        }
    } else if (const auto* cancel = std::get_if<ipc::Cancel>(&message)) {
        for (const std::uint64_t id : cancel->ids) {
            if (is_ours(id)) {  // nobody takes back another's job
                desk_.client_cancels(id, cancel->terminate);
            }
        }
    } else if (const auto* ping = std::get_if<ipc::Ping>(&message)) {
        send(ipc::encode(ipc::Pong{ping->token}).bytes());
    } else if (!std::holds_alternative<ipc::Pong>(message)) {
        close(ipc::Refusal::bad_frame,
              "a client sends SUBMIT, CALL, CANCEL, SIGNAL and PING, after one HELLO");
        return false;
    }
    return true;
}

bool ClientSession::is_ours(JobId id) const {
    const Job* const job = jobs_.find(id);
    return job != nullptr && job->submitter == this;
}

bool ClientSession::greet(const ipc::Message& message) {
    const auto* hello = std::get_if<ipc::Hello>(&message);
    if (hello == nullptr) {
        close(ipc::Refusal::no_hello, "the first frame must be HELLO");
    } else if (hello->role != ipc::Role::client) {
        close(ipc::Refusal::bad_frame, "workers are started by supervise, they do not connect");
    } else if (!speaks_our_version(*hello)) {
        close(ipc::Refusal::version, "this supervise speaks version 1 of the protocol only");
    } else {
        phase_ = Phase::waiting;
        return true;
    }
    return false;
}

void ClientSession::submit(const ipc::Submit& message) {
    ipc::Accepted accepted;
    accepted.first_tag = message.first_tag;
    std::optional<Rejection> rejection;
    if (desk_.takes_calls()) {
        rejection = Rejection{ipc::Refusal::not_permitted,
                              "this is a Celery pool: its tasks are sent by Celery"};
    }
    for (const std::string_view args : message.jobs) {
        if (rejection) {
            break;  // what refuses one refuses all behind it
        }
        JobDesk::Request request;
        request.task = message.task;
        request.args = args;
        request.priority = message.priority;
        request.submitter = this;
        std::variant<JobId, Rejection> answer = desk_.client_submits(std::move(request));
        if (const JobId* id = std::get_if<JobId>(&answer)) {
            accepted.first_id = accepted.count == 0 ? *id : accepted.first_id;
            ++accepted.count;
        } else {
            rejection = std::get<Rejection>(std::move(answer));
        }
    }
    if (accepted.count > 0) {
        send(ipc::encode(accepted).bytes());
    }
    if (rejection) {
        refuse(message.first_tag + accepted.count, message.jobs.size() - accepted.count,
               *rejection);
    }
    desk_.client_submitted();
}

void ClientSession::refuse(std::uint32_t first_tag, std::size_t count, const Rejection& rejection) {
    ipc::Refused refused;
    refused.first_tag = first_tag;
    refused.count = static_cast<std::uint16_t>(count);
    refused.reason = rejection.reason;
    refused.message = rejection.message;
    send(ipc::encode(refused).bytes());
}

void ClientSession::call(const ipc::Call& message, UniqueFd payload) {
    if (!desk_.takes_calls()) {
        refuse(message.tag, 1,
               {ipc::Refusal::not_permitted,
                "workers of this kind take no payload with a job; pass an ID"});
        return;
    }
    const auto limit = [](std::optional<std::uint32_t> ms) {
        return ms ? std::optional<Duration>(Milliseconds(*ms)) : std::nullopt;
    };
    const std::string args = ipc::encode_args({ipc::Id(std::string(message.key))}).value();
    JobDesk::Request request;
    request.task = message.task;
    request.args = args;
    request.priority = message.priority;
    request.submitter = this;
    request.call = true;
    request.payload = std::move(payload);
    request.soft_time_limit = limit(message.soft_time_limit_ms);
    request.time_limit = limit(message.time_limit_ms);
    const std::variant<JobId, Rejection> answer = desk_.client_submits(std::move(request));
    if (const auto* rejection = std::get_if<Rejection>(&answer)) {
        refuse(message.tag, 1, *rejection);
        return;
    }
    ipc::Accepted accepted;
    accepted.first_tag = message.tag;
    accepted.count = 1;
    accepted.first_id = std::get<JobId>(answer);
    untold_.push_back(accepted);
    desk_.client_submitted();
    const Job* const job = jobs_.find(accepted.first_id);
    if (job == nullptr || job->state != JobState::running) {
        tell_accepted();
    }
}

void ClientSession::tell_accepted() {
    for (const ipc::Accepted& accepted : std::exchange(untold_, {})) {
        send(ipc::encode(accepted).bytes());
    }
}

void ClientSession::tell_size() {
    if (phase_ == Phase::open && desk_.takes_calls()) {
        send(ipc::encode(ipc::Size{desk_.size()}).bytes());
    }
}

void ClientSession::job_begun(const ipc::Begun& begun) { send(ipc::encode(begun).bytes()); }

void ClientSession::job_soft_limit(JobId id) { send(ipc::encode(ipc::Soft{id}).bytes()); }

void ClientSession::job_ended(JobId id, JobState state, unsigned attempts,
                              std::string_view report) {
    UniqueFd reply = std::move(reply_);
    if (phase_ == Phase::closed) {
        return;
    }
    if (reply) {  // in a frame of its own
        send_results();
        ipc::ResultBatch batch;
        batch.entries.push_back({id, state, static_cast<std::uint16_t>(attempts), report});
        batch.descriptor = true;
        send(ipc::encode(batch).bytes(), std::move(reply));
        return;
    }
    if (!ipc::add_result_size(pending_size_, report.size())) {
        send_results();
        ipc::add_result_size(pending_size_, report.size());
    }
    if (pending_entries_.empty() && !held_) {
        desk_.flush_later(*this);
    }
    pending_entries_.push_back(
        {id, state, static_cast<std::uint16_t>(attempts), std::string(report)});
    if (held_ && !may_hold()) {
        send_results();
    }
}

bool ClientSession::may_hold() const {
    return pending_entries_.size() < open_jobs.size() / open_jobs_per_held;
}

bool ClientSession::flush_or_hold() {
    held_ = may_hold();
    if (!held_) {
        send_results();
    }
    return held_;
}

void ClientSession::flush() {
    held_ = false;
    send_results();
}

void ClientSession::send_results() {
    if (pending_entries_.empty()) {
        return;
    }
    ipc::ResultBatch batch;
    batch.entries.reserve(pending_entries_.size());
    for (const Entry& entry : pending_entries_) {
        batch.entries.push_back({entry.id, entry.state, entry.attempts, entry.report});
    }
    send(ipc::encode(batch).bytes());
    pending_entries_.clear();
    pending_size_ = ipc::header_size;
}

void ClientSession::send(std::string_view frame, UniqueFd descriptor) {
    if (phase_ == Phase::closed) {
        return;
    }
    tell_accepted();
    if (out_.empty() && channel_.send(frame, descriptor.get()) != ipc::Channel::SendStatus::full) {
        moved_at_ = clock_.now();
        return;
    }
    // At the end all queued jobs are lost in one turn: as many results as the queue was long.
    if (out_bytes_ + frame.size() > most_out_bytes && !desk_.ending()) {
        close(ipc::Refusal::slow_reader, "1 MiB waits for this client, and it does not read");
        return;
    }
    if (out_.empty()) {
        moved_at_ = clock_.now();
    }
    out_.push_back({std::string(frame), std::move(descriptor)});
    out_bytes_ += frame.size();
    out_changed_.cancel();
}

void ClientSession::close(ipc::Refusal reason, const std::string& message) {
    if (phase_ == Phase::closed) {
        return;
    }
    phase_ = Phase::closed;
    ipc::Close last;
    last.reason = reason;
    last.message = message;
    channel_.send(ipc::encode(last).bytes());
    out_.clear();
    out_bytes_ = 0;
    pending_entries_.clear();
    group_.cancel();
}

bool ClientSession::hung_up() {
    pollfd query{channel_.native_handle(), POLLRDHUP, 0};
    return ::poll(&query, 1, 0) == 1 && (query.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void ClientSession::check(TimePoint now) {
    tell_accepted();
    if (phase_ == Phase::hello && now - opened_at_ > hello_time) {
        close(ipc::Refusal::no_hello, "no HELLO came within 10 s");
    } else if (phase_ == Phase::waiting && hung_up()) {
        phase_ = Phase::closed;
        group_.cancel();
    } else if (!out_.empty() && now - moved_at_ > slow_time) {
        close(ipc::Refusal::slow_reader, "this client has read nothing for 30 s");
    }
}

}  // namespace supervise
