#include "ipc/ids.hpp"

#include <limits>
#include <stdexcept>

#include "ipc/limits.hpp"
#include "tests/support/catch.hpp"

using namespace supervise::ipc;

TEST_CASE("an ID comes back as it was", "[ids]") {
    const Uuid uuid{0x01, 0x23, 0xfe, 0xdc, 0x45, 0x67, 0x89, 0xab,
                    0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab};
    const std::vector<Id> ids = {std::int64_t{0},
                                 std::int64_t{-1},
                                 std::numeric_limits<std::int64_t>::min(),
                                 std::numeric_limits<std::int64_t>::max(),
                                 uuid,
                                 std::string(),
                                 std::string("key-é"),
                                 std::string(max_text, 'x')};
    for (const Id& id : ids) {
        CHECK(decode_id(encode_id(id)) == id);
    }
    CHECK(decode_args(encode_args(ids).value()) == ids);
    CHECK(encode_args({}) == std::string(1, '\0'));
    CHECK(decode_args(std::string_view("\0", 1)) == std::vector<Id>{});
}

TEST_CASE("an ID for people", "[ids]") {
    CHECK(to_string(Id(std::int64_t{-42})) == "-42");
    CHECK(to_string(Id(std::string("key"))) == "key");
    const Uuid uuid{0x01, 0x23, 0xfe, 0xdc, 0x45, 0x67, 0x89, 0xab,
                    0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab};
    CHECK(to_string(Id(uuid)) == "0123fedc-4567-89ab-cdef-0123456789ab");
}

TEST_CASE("arguments that do not fit are not encoded", "[ids]") {
    const Id number = std::int64_t{7};
    CHECK(encode_args(std::vector<Id>(100, number)));
    CHECK_FALSE(encode_args(std::vector<Id>(101, number)));
    CHECK_FALSE(encode_args({std::string(max_text + 1, 'x')}));
    CHECK_FALSE(encode_args({std::string("\xff")}));
    CHECK_FALSE(encode_args({std::string("a\0b", 3)}));

    std::vector<Id> ids(3, std::string(max_text, 'x'));  // 1 + 3 * 257 bytes
    ids.emplace_back(std::string(186, 'y'));
    CHECK(encode_args(ids).value().size() == max_args);
    ids.back() = std::string(187, 'y');
    CHECK_FALSE(encode_args(ids));

    CHECK_THROWS_AS(encode_id(std::string(max_text + 1, 'x')), std::length_error);
}

TEST_CASE("bytes that are not exactly one ID, or one list, are refused", "[ids]") {
    const std::string id = encode_id(std::int64_t{7});
    CHECK_FALSE(decode_id(""));
    CHECK_FALSE(decode_id(std::string_view("\0", 1)));
    CHECK_FALSE(decode_id(id + "x"));
    CHECK_FALSE(decode_id(id.substr(1)));
    CHECK_FALSE(decode_id(std::string_view(id).substr(0, id.size() - 1)));
    const std::string args = encode_args({std::int64_t{7}}).value();
    CHECK_FALSE(decode_args(""));
    CHECK_FALSE(decode_args(args + "x"));
    CHECK_FALSE(decode_args(std::string_view(args).substr(0, args.size() - 1)));
}
