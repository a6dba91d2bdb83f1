#include "ipc/reader.hpp"

#include "ipc/limits.hpp"
#include "ipc/utf8.hpp"

namespace supervise::ipc {

void Reader::fail(const char* why) {
    if (ok()) {
        error_ = why;
        error_at_ = size_ - rest_.size();
        rest_ = {};
    }
}

std::string_view Reader::take(std::size_t size) {
    if (rest_.size() < size) {
        fail("ends within a field");
        return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
}

std::string_view Reader::text(std::size_t size) {
    const std::string_view bytes = take(size);
    if (!is_text(bytes)) {
        fail("a text is not UTF-8, or has a NUL");
        return {};
    }
    return bytes;
}

std::string_view Reader::text8() { return text(number<std::uint8_t>()); }

std::string_view Reader::text16() { return text(number<std::uint16_t>()); }

std::string_view Reader::id(bool may_be_none) {
    const std::string_view from = rest_;
    switch (number<std::uint8_t>()) {
        case 0:
            if (!may_be_none) {
                fail("no ID where there must be one");
            }
            return {};
        case 1:
            take(sizeof(std::int64_t));
            break;
        case 2:
            take(sizeof(Uuid));
            break;
        case 3:
            text8();
            break;
        default:
            fail("an ID of unknown kind");
    }
    return ok() ? from.substr(0, from.size() - rest_.size()) : std::string_view{};
}

std::string_view Reader::args() {
    const std::string_view from = rest_;
    const auto count = number<std::uint8_t>();
    if (count > max_arg_count) {
        fail("more than 100 arguments");
    }
    for (unsigned i = 0; i < count && ok(); ++i) {
        id(false);
    }
    if (from.size() - rest_.size() > max_args) {
        fail("more than 960 bytes of arguments");
    }
    return ok() ? from.substr(0, from.size() - rest_.size()) : std::string_view{};
}

Report Reader::report() {
    const std::size_t before = rest_.size();
    Report report;
    switch (number<std::uint8_t>()) {
        case 1:
            report = Value{id(true)};
            break;
        case 2: {
            Failure failure;
            failure.type = text8();
            failure.message = text16();
            failure.traceback = text16();
            report = failure;
            break;
        }
        case 3: {
            const auto cause = number<std::uint8_t>();
            if (cause > static_cast<std::uint8_t>(Cause::shutdown)) {
                fail("an unknown cause");
            }
            report = Loss{static_cast<Cause>(cause), text16()};
            break;
        }
        default:
            fail("a report of unknown outcome");
    }
    if (before - rest_.size() > max_report) {
        fail("a report of more than 1000 bytes");
    }
    return report;
}

std::string_view Reader::report_bytes(bool may_be_lost) {
    const std::string_view from = rest_;
    const Report parsed = report();
    if (!may_be_lost && std::holds_alternative<Loss>(parsed)) {
        fail("a worker reports its own job as lost");
    }
    return ok() ? from.substr(0, from.size() - rest_.size()) : std::string_view{};
}

}  // namespace supervise::ipc
