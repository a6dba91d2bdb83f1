#include "vectors.hpp"

#include "tests/support/catch.hpp"

using namespace supervise::ipc;
using namespace supervise::test;

TEST_CASE("the shared vectors hold every type of frame and many bad frames", "[message][vectors]") {
    std::array<int, std::variant_size_v<Message>> of_type{};
    int bad = 0;
    for (const FrameVector& vector : frame_vectors()) {
        if (vector.message) {
            ++of_type.at(message_from_json(*vector.message).message.index());
        } else {
            ++bad;
        }
    }
    for (std::size_t type = 0; type < of_type.size(); ++type) {
        INFO("alternative " << type);
        CHECK(of_type[type] > 0);
    }
    CHECK(bad >= 30);
}

TEST_CASE("each valid vector is encoded to its bytes", "[message][vectors]") {
    for (const FrameVector& vector : frame_vectors()) {
        if (vector.message) {
            INFO(vector.name);
            const OwnedMessage owned = message_from_json(*vector.message);
            const Frame frame = encode(owned.message);
            CHECK(to_hex(frame.bytes()) == to_hex(vector.frame));
        }
    }
}

TEST_CASE("each valid vector is decoded to its message", "[message][vectors]") {
    for (const FrameVector& vector : frame_vectors()) {
        if (vector.message) {
            INFO(vector.name);
            const auto decoded = decode(vector.frame);
            const auto* error = std::get_if<DecodeError>(&decoded);
            INFO("error: " << (error != nullptr ? error->message : "none"));
            REQUIRE(error == nullptr);
            const std::string json = message_to_json(std::get<Message>(decoded));
            INFO(json);
            CHECK(same_json(json, *vector.message));
        }
    }
}

TEST_CASE("each bad vector is refused in words", "[message][vectors]") {
    for (const FrameVector& vector : frame_vectors()) {
        if (!vector.message) {
            INFO(vector.name);
            const auto decoded = decode(vector.frame);
            REQUIRE(std::holds_alternative<DecodeError>(decoded));
            CHECK_THAT(std::get<DecodeError>(decoded).message, ContainsSubstring("frame of "));
        }
    }
}

TEST_CASE("no beginning of a valid frame is a frame", "[message][vectors]") {
    for (const FrameVector& vector : frame_vectors()) {
        if (vector.message) {
            INFO(vector.name);
            for (std::size_t size = 0; size < vector.frame.size(); ++size) {
                // A copy of just these bytes lets the sanitizer see a read beyond them.
                std::vector<char> cut(vector.frame.begin(),
                                      vector.frame.begin() + static_cast<std::ptrdiff_t>(size));
                if (size >= 4) {  // the size field is made right: the body itself must be missed
                    cut[2] = static_cast<char>(size & 0xff);
                    cut[3] = static_cast<char>(size >> 8);
                }
                const auto decoded = decode({cut.data(), cut.size()});
                REQUIRE(std::holds_alternative<DecodeError>(decoded));
            }
        }
    }
}
