#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "ipc/message.hpp"

namespace supervise::test {

/// A message from JSON and the texts that it points to.
struct OwnedMessage {
    ipc::Message message;
    std::deque<std::string> texts;
};

/// One entry of tests/vectors/frames.json; its README says what they mean.
struct FrameVector {
    std::string name;
    std::string frame;                   ///< bytes
    std::optional<std::string> message;  ///< JSON; nothing when the frame is a bad one
};

/// Read once. Throws when the file is not as it should be.
const std::vector<FrameVector>& frame_vectors();

/// Between a message and its JSON form.
OwnedMessage message_from_json(const std::string& json);
std::string message_to_json(const ipc::Message& message);

/// True when both texts are the same JSON value.
bool same_json(const std::string& left, const std::string& right);

std::string to_hex(std::string_view bytes);

}  // namespace supervise::test
