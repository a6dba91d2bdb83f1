#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ipc/ids.hpp"
#include "ipc/job_messages.hpp"
#include "ipc/limits.hpp"
#include "ipc/refusal.hpp"
#include "ipc/report.hpp"
#include "ipc/template_messages.hpp"
#include "supervise/job.hpp"

/// What crosses a socket (ipc/PROTOCOL.md), as values and as bytes; no I/O. Bytes are string_views,
/// a decoded message's of the frame it came from.
namespace supervise::ipc {

enum class Role : std::uint8_t { client = 1, worker = 2, template_process = 3, front = 4 };

struct Hello {
    std::uint16_t version_min = protocol_version;
    std::uint16_t version_max = protocol_version;
    Role role = Role::client;
    std::uint32_t pid = 0;
    std::string_view software;
};
struct Welcome {
    std::uint16_t version = protocol_version;
    std::uint32_t limit = 0;  ///< client: the pool's queue limit; worker: 0
    std::uint16_t slot = 0;   ///< worker only
    std::uint32_t incarnation = 0;
    std::string_view pool;
    std::string_view software;
    bool descriptor = false;  ///< the worker's mark comes along, see PROTOCOL.md
};
struct TaskInfo {
    std::string_view name;
    std::optional<std::uint32_t> soft_time_limit_ms;  ///< 0: none, whatever the pool says
    std::optional<std::uint32_t> time_limit_ms;
    std::optional<std::uint8_t> retries;  ///< 0..100
};
struct Register {
    std::vector<TaskInfo> tasks;
};
struct Ready {};
struct StartFailed {
    std::string_view type;
    std::string_view message;
};
struct Job {
    std::uint64_t id = 0;
    std::uint16_t attempt = 1;
    std::uint64_t soft_deadline_ns = 0;  ///< CLOCK_MONOTONIC; 0: none
    std::uint64_t deadline_ns = 0;
    std::string_view task;
    std::string_view args;    ///< encoded: u8 count, then IDs
    bool descriptor = false;  ///< one comes along (SCM_RIGHTS)
};
struct Done {
    std::uint64_t id = 0;
    std::string_view report;  ///< encoded Report, outcome done or failed
    bool descriptor = false;  ///< as in Job
};
struct Submit {
    std::uint32_t first_tag = 0;  ///< entry i has tag first_tag + i
    std::uint8_t priority = 0;    ///< 0..9, 9 goes first
    std::string_view task;
    std::vector<std::string_view> jobs;  ///< each one's encoded arguments
};
struct Accepted {
    std::uint32_t first_tag = 0;
    std::uint16_t count = 0;
    std::uint64_t first_id = 0;  ///< consecutive
};
struct Refused {
    std::uint32_t first_tag = 0;
    std::uint16_t count = 0;
    Refusal reason = Refusal::queue_full;
    std::string_view message;
};
struct ResultEntry {
    std::uint64_t id = 0;
    JobState state = JobState::done;  ///< done, failed, lost or dead
    std::uint16_t attempts = 1;       ///< 0: cancelled before it began
    std::string_view report;
};
struct ResultBatch {
    std::vector<ResultEntry> entries;
    bool descriptor = false;  ///< what came with DONE; then there is one entry
};
struct Cancel {
    bool terminate = false;  ///< kills a running job's worker; else only a queued job goes
    std::vector<std::uint64_t> ids;
};
struct Trim {};
struct Trimmed {
    std::uint32_t collected = 0;  ///< objects that gc.collect() found
};
struct Retire {};
struct Ping {
    std::uint64_t token = 0;
};
struct Pong {
    std::uint64_t token = 0;
};
struct Close {
    Refusal reason = Refusal::stopping;
    std::string_view message;
};

using Message =
    std::variant<Hello, Welcome, Register, Ready, StartFailed, Job, Done, Submit, Accepted, Refused,
                 ResultBatch, Cancel, Trim, Trimmed, Retire, Ping, Pong, Close, Fork, Forked,
                 Unsafe, Call, Begun, Soft, Signal, JobBatch, Size>;

/// One encoded frame.
class Frame {
  public:
    std::string_view bytes() const { return {data_.data(), size_}; }

  private:
    friend class Writer;
    std::array<char, max_frame> data_;
    std::size_t size_ = 0;
};

/// A text16 message that would not fit is cut at a character's border, and made UTF-8 if it is not;
/// anything else that does not fit or is out of range throws std::length_error. Arguments and
/// reports go in as they are: from encode_args(), encode_report() or a frame.
Frame encode(const Message& message);
/// True when descriptors must come along: one, or fork_descriptors(). Else none may.
bool has_descriptor(const Message& message);

/// True when one more entry of `report` bytes fits a RESULT frame that holds `used` bytes so far
/// (start with `header_size`); adds its size to `used` if so.
bool add_result_size(std::size_t& used, std::size_t report);

struct DecodeError {
    std::string message;  ///< "frame of 12 bytes says that it has 40"
};
/// Checks everything: the size, the type, every length, UTF-8 of texts, ranges, nothing left over.
/// Either a whole message or an error; never reads outside `frame`.
std::variant<Message, DecodeError> decode(std::string_view frame);

}  // namespace supervise::ipc
