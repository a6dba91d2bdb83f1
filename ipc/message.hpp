#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "supervise/job.hpp"

/// What crosses a socket, as values and as bytes. No I/O here. ipc/PROTOCOL.md is the contract.
/// Byte views are string_views; a decoded message points into the frame it came from.
namespace supervise::ipc {

inline constexpr std::uint16_t protocol_version = 1;
inline constexpr std::size_t max_frame = 1024;  ///< bytes, header included
inline constexpr std::size_t header_size = 8;
inline constexpr std::size_t max_report = 1000;  ///< bytes of an encoded Report
inline constexpr std::size_t max_args = 960;     ///< bytes of one job's encoded arguments
inline constexpr std::size_t max_text = 255;     ///< bytes of a task name or a text ID

enum class Role : std::uint8_t { client = 1, worker = 2 };

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
    std::string_view args;  ///< encoded: u8 count, then IDs
};
struct Done {
    std::uint64_t id = 0;
    std::string_view report;  ///< encoded Report, outcome done or failed
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
enum class Refusal : std::uint8_t {
    queue_full = 1,
    unknown_task = 2,
    stopping = 3,
    degraded = 4,
    not_permitted = 5,
    too_many_clients = 6,
    bad_frame = 7,
    slow_reader = 8,
    version = 9,
    no_hello = 10,
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
    std::uint16_t attempts = 1;
    std::string_view report;
};
struct ResultBatch {
    std::vector<ResultEntry> entries;
};
struct Cancel {
    bool terminate = false;  ///< a running job's worker is killed; else only a queued job is taken out
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

using Message = std::variant<Hello, Welcome, Register, Ready, StartFailed, Job, Done, Submit,
                             Accepted, Refused, ResultBatch, Cancel, Trim, Trimmed, Retire, Ping,
                             Pong, Close>;

/// One encoded frame on the stack.
class Frame {
  public:
    std::string_view bytes() const { return {data_.data(), size_}; }

  private:
    friend class Writer;
    std::array<char, max_frame> data_;
    std::size_t size_ = 0;
};

/// Encodes `message`. Texts that would not fit are cut at a character's border where PROTOCOL.md
/// allows it (messages); anything else that does not fit is a broken precondition (throws
/// std::length_error). Register and ResultBatch: the caller keeps to what fits, see fits().
Frame encode(const Message& message);

/// True when one more entry of `report` bytes fits a RESULT frame that holds `used` bytes so far
/// (start with `header_size`); adds its size to `used` if so.
bool add_result_size(std::size_t& used, std::size_t report);

struct DecodeError {
    std::string message;  ///< "frame of 12 bytes says that it has 40"
};
/// Checks everything: the size, the type, every length, UTF-8 of texts, ranges, nothing left over.
/// Either a whole message or an error; never reads outside `frame`.
std::variant<Message, DecodeError> decode(std::string_view frame);

/// How an attempt ended. In DONE and RESULT it travels encoded and is forwarded as it is.
struct Failure {
    std::string_view type;
    std::string_view message;
    std::string_view traceback;
};
struct Loss {
    Cause cause = Cause::unknown;
    std::string_view detail;
};
struct Value {
    std::string_view id;  ///< one encoded ID, or empty for none
};
using Report = std::variant<Value, Failure, Loss>;

std::string encode_report(const Report& report);
std::optional<Report> decode_report(std::string_view bytes);

/// IDs and arguments.
using Uuid = std::array<std::uint8_t, 16>;
using Id = std::variant<std::int64_t, Uuid, std::string>;
/// u8 count, then the IDs; nothing when they do not fit max_args.
std::optional<std::string> encode_args(const std::vector<Id>& ids);
std::optional<std::vector<Id>> decode_args(std::string_view args);
std::string encode_id(const Id& id);
std::optional<Id> decode_id(std::string_view bytes);
/// Decimal, 8-4-4-4-12, or the text as it is; for people.
std::string to_string(const Id& id);

}  // namespace supervise::ipc
