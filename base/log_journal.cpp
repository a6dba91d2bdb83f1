#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "log.hpp"
#include "unique_fd.hpp"

namespace supervise {
namespace {

/// The journal's native protocol: one datagram an entry, on a socket that is never connected, so
/// that a journal which is started later, or anew, is found.
class Journal {
  public:
    explicit Journal(const std::string& socket_path)
        : path_(socket_path), fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        address_.sun_family = AF_UNIX;
        // A path that is too long is cut, and then not found, which says the same.
        std::strncpy(address_.sun_path, path_.c_str(), sizeof address_.sun_path - 1);
    }

    void write(LogLevel level, std::string_view event, const LogField* fields, std::size_t count) {
        report_left_out();
        switch (const int error = send(format_journal(level, event, fields, count))) {
            case 0:
                unreachable_ = false;
                break;
            case EAGAIN:
            case ENOBUFS:
                ++left_out_;
                break;
            case EMSGSIZE:
                write_stderr(text_line(level, event, fields, count));
                break;
            default:
                if (!std::exchange(unreachable_, true)) {
                    const LogField why[] = {{"socket", path_}, {"error", std::strerror(error)}};
                    write_stderr(text_line(LogLevel::warning, "log.journal_unreachable", why, 2));
                }
                write_stderr(text_line(level, event, fields, count));
        }
    }

  private:
    /// 0 or errno.
    int send(const std::string& datagram) {
        const auto* address = reinterpret_cast<const sockaddr*>(&address_);
        ssize_t sent = 0;
        do {
            sent = ::sendto(fd_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL, address,
                            sizeof address_);
        } while (sent < 0 && errno == EINTR);
        return sent < 0 ? errno : 0;
    }

    void report_left_out() {
        if (left_out_ == 0) {
            return;
        }
        const LogField count("count", static_cast<unsigned long long>(left_out_));
        if (send(format_journal(LogLevel::warning, "log.left_out", &count, 1)) == 0) {
            left_out_ = 0;
        }
    }

    static void write_stderr(std::string line) {
        line += '\n';
        std::fwrite(line.data(), 1, line.size(), stderr);
    }

    std::string path_;
    sockaddr_un address_{};
    UniqueFd fd_;
    bool unreachable_ = false;
    std::uint64_t left_out_ = 0;
};

}  // namespace

Logger make_journal_logger(LogLevel level, const std::string& socket_path) {
    auto journal = std::make_shared<Journal>(socket_path);
    return Logger([journal](LogLevel at, std::string_view event, const LogField* fields,
                            std::size_t count) { journal->write(at, event, fields, count); },
                  level);
}

}  // namespace supervise
