#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>
#include <boost/throw_exception.hpp>
#include <cerrno>
#include <stdexcept>
#include <string>

namespace supervise {

/// What went wrong in a thin wrapper of the operating system: which step, on what, and the code.
/// `message()` reads "join cgroup /sys/fs/cgroup/x: Permission denied".
struct Error {
    boost::system::error_code code;
    std::string step;     ///< the act that failed, as a verb phrase: "open", "exec", "join cgroup"
    std::string subject;  ///< what it was done to: a path, a pid, a pool; may be empty

    std::string message() const {
        std::string text = step;
        if (!subject.empty()) {
            text += ' ' + subject;
        }
        if (code) {
            text += ": " + code.message();
        }
        return text;
    }
};

/// Thrown by `Result::value()` when it holds an Error.
class ErrorException : public std::runtime_error {
  public:
    explicit ErrorException(Error error)
        : std::runtime_error(error.message()), error_(std::move(error)) {}
    const Error& error() const noexcept { return error_; }

  private:
    Error error_;
};

[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location& /*where*/) {
    throw ErrorException(error);
}

template <class T>
using Result = boost::system::result<T, Error>;

/// The Error for `errno` as it stands.
inline Error errno_error(std::string step, std::string subject = {}, int number = errno) {
    return Error{{number, boost::system::system_category()}, std::move(step), std::move(subject)};
}

}  // namespace supervise
