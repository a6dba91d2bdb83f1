#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ipc/ids.hpp"
#include "ipc/report.hpp"

namespace supervise::ipc {

/// Takes fields off the front of some bytes. The first field that is not there or not valid is
/// remembered and empties the rest, so a caller reads all its fields and asks once, at the end.
/// Never allocates; what it gives points into the bytes.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : rest_(bytes), size_(bytes.size()) {}

    bool ok() const { return error_ == nullptr; }
    const char* error() const { return error_; }  ///< nullptr, or why, in words
    std::size_t error_at() const { return error_at_; }
    std::size_t left() const { return rest_.size(); }
    void fail(const char* why);

    template <class Number>
    Number number() {
        Number value = 0;
        const std::string_view bytes = take(sizeof(Number));
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            const auto byte = static_cast<unsigned char>(bytes[i]);
            value = static_cast<Number>(value | static_cast<Number>(Number{byte} << (8 * i)));
        }
        return value;
    }
    std::string_view take(std::size_t size);
    std::string_view text8();
    std::string_view text16();

    /// One encoded ID, as it stands; empty when it is the none that only a result may be.
    std::string_view id(bool may_be_none);
    /// One job's arguments, as they stand, the count included.
    std::string_view args();
    Report report();
    /// The same, as it stands.
    std::string_view report_bytes(bool may_be_lost);

  private:
    std::string_view text(std::size_t size);

    std::string_view rest_;
    std::size_t size_;
    const char* error_ = nullptr;
    std::size_t error_at_ = 0;
};

}  // namespace supervise::ipc
