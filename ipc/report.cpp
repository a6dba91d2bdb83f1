#include "ipc/report.hpp"

#include <stdexcept>

#include "ipc/ids.hpp"
#include "ipc/limits.hpp"
#include "ipc/reader.hpp"
#include "ipc/utf8.hpp"

namespace supervise::ipc {
namespace {

constexpr char outcome_done = 1;
constexpr char outcome_failed = 2;
constexpr char outcome_lost = 3;

std::string clean(std::string_view bytes) {
    std::string text(bytes);
    make_text(text.data(), text.size());
    return text;
}

void append_text8(std::string& out, std::string_view text) {
    out += static_cast<char>(text.size());
    out += text;
}

void append_text16(std::string& out, std::string_view text) {
    out += static_cast<char>(text.size() & 0xff);
    out += static_cast<char>(text.size() >> 8);
    out += text;
}

std::string encode(const Value& value) {
    if (value.id.empty()) {
        return {outcome_done, 0};
    }
    Reader reader(value.id);
    reader.id(false);
    if (!reader.ok() || reader.left() != 0) {
        throw std::invalid_argument("a job's result is not one encoded ID");
    }
    return outcome_done + std::string(value.id);
}

std::string encode(const Failure& failure) {
    const std::string type = clean(failure.type);
    const std::string message = clean(failure.message);
    const std::string traceback = clean(failure.traceback);

    std::string out(1, outcome_failed);
    append_text8(out, keep_beginning(type, max_text));
    const std::size_t room = max_report - out.size() - 2 * sizeof(std::uint16_t);
    const std::string_view kept = keep_beginning(message, room);
    append_text16(out, kept);
    append_text16(out, keep_end(traceback, room - kept.size()));
    return out;
}

std::string encode(const Loss& loss) {
    const std::string detail = clean(loss.detail);
    std::string out{outcome_lost, static_cast<char>(loss.cause)};
    append_text16(out, keep_beginning(detail, max_report - out.size() - sizeof(std::uint16_t)));
    return out;
}

}  // namespace

std::string encode_report(const Report& report) {
    return std::visit([](const auto& ending) { return encode(ending); }, report);
}

std::optional<Report> decode_report(std::string_view bytes) {
    Reader reader(bytes);
    const Report report = reader.report();
    if (!reader.ok() || reader.left() != 0) {
        return std::nullopt;
    }
    return report;
}

}  // namespace supervise::ipc
