#pragma once

#include "ipc/message.hpp"

namespace supervise::test {

enum class Checked { refused, same, differs };

/// What both fuzzers demand of any bytes: an error in words, or a message whose encoding is these
/// very bytes, with arguments and reports that decode by themselves.
inline Checked check_frame(std::string_view bytes) {
    const auto decoded = ipc::decode(bytes);
    if (const auto* error = std::get_if<ipc::DecodeError>(&decoded)) {
        return error->message.empty() ? Checked::differs : Checked::refused;
    }
    const auto& message = std::get<ipc::Message>(decoded);
    bool parts_hold = true;
    if (const auto* job = std::get_if<ipc::Job>(&message)) {
        parts_hold = ipc::decode_args(job->args).has_value();
    } else if (const auto* batch = std::get_if<ipc::JobBatch>(&message)) {
        for (const ipc::JobBatch::Entry& entry : batch->jobs) {
            parts_hold = parts_hold && ipc::decode_args(entry.args).has_value();
        }
    } else if (const auto* done = std::get_if<ipc::Done>(&message)) {
        parts_hold = ipc::decode_report(done->report).has_value();
    } else if (const auto* results = std::get_if<ipc::ResultBatch>(&message)) {
        for (const ipc::ResultEntry& entry : results->entries) {
            parts_hold = parts_hold && ipc::decode_report(entry.report).has_value();
        }
    }
    const ipc::Frame again = ipc::encode(message);
    return parts_hold && again.bytes() == bytes ? Checked::same : Checked::differs;
}

}  // namespace supervise::test
