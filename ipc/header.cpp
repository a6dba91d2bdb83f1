#include "ipc/header.hpp"

#include "ipc/limits.hpp"

namespace supervise::ipc {
namespace {

constexpr const char* type_names[] = {
    "HELLO",  "WELCOME",  "REGISTER", "READY",  "START_FAILED", "JOB",    "DONE",
    "SUBMIT", "ACCEPTED", "REFUSED",  "RESULT", "CANCEL",       "TRIM",   "TRIMMED",
    "RETIRE", "PING",     "PONG",     "CLOSE",  "FORK",         "FORKED", "UNSAFE",
    "CALL",   "BEGUN",    "SOFT",     "SIGNAL", "JOBS",         "SIZE"};

bool is_list(Type type) {
    switch (type) {
        case Type::register_tasks:
        case Type::submit:
        case Type::accepted:
        case Type::refused:
        case Type::result:
        case Type::cancel:
        case Type::unsafe:
        case Type::jobs:
            return true;
        default:
            return false;
    }
}

std::uint8_t flags_it_may_have(Type type, std::uint16_t count) {
    switch (type) {
        case Type::welcome:
        case Type::job:
        case Type::done:
        case Type::fork:
        case Type::call:
            return flag_descriptor;
        case Type::result:
            return count == 1 ? flag_descriptor : 0;
        case Type::cancel:
            return flag_terminate;
        default:
            return 0;
    }
}

std::uint8_t flags_it_must_have(Type type) {
    return type == Type::fork || type == Type::call ? flag_descriptor : 0;
}

}  // namespace

const char* name_of(Type type) { return type_names[static_cast<std::uint8_t>(type) - 1]; }

Header read_header(Reader& in, std::size_t frame_size, std::string& error) {
    Header header;
    const auto first = in.number<std::uint8_t>();
    const auto type = in.number<std::uint8_t>();
    const auto size = in.number<std::uint16_t>();
    header.count = in.number<std::uint16_t>();
    header.flags = in.number<std::uint8_t>();
    const auto reserved = in.number<std::uint8_t>();
    header.type = static_cast<Type>(type);

    if (!in.ok()) {
        error = "is shorter than a header";
    } else if (first != magic) {
        error = "begins with " + std::to_string(first) + ", not with 83";
    } else if (frame_size > max_frame) {
        error = "is longer than 1024";
    } else if (size != frame_size) {
        error = "says that it has " + std::to_string(size);
    } else if (type < static_cast<std::uint8_t>(Type::hello) ||
               type > static_cast<std::uint8_t>(Type::size)) {
        error = "is of unknown type " + std::to_string(type);
    } else if (is_list(header.type) != (header.count != 0)) {
        error = std::string("is ") + name_of(header.type) + " with a count of " +
                std::to_string(header.count);
    } else if ((header.flags & ~flags_it_may_have(header.type, header.count)) != 0 ||
               reserved != 0) {
        error = std::string("is ") + name_of(header.type) + " with flags that it may not have";
    } else if (const auto must = flags_it_must_have(header.type); (header.flags & must) != must) {
        error = std::string("is ") + name_of(header.type) + " without the flag of its descriptors";
    }
    return header;
}

}  // namespace supervise::ipc
