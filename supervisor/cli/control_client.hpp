#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.hpp"
#include "supervise/error.hpp"
#include "supervise/time.hpp"

namespace supervise::cli {

struct Reply {
    unsigned status = 0;
    std::string body;
};

/// A blocking client of the control socket: one request, one connection. Errors: ENOENT or
/// ECONNREFUSED when nobody listens, ETIMEDOUT, ECONNRESET when the supervisor went meanwhile.
class ControlClient {
  public:
    explicit ControlClient(std::string socket_path) : path_(std::move(socket_path)) {}

    /// Without a `limit` it waits as long as it takes.
    Result<Reply> get(const std::string& target, std::optional<Duration> limit) const;
    Result<Reply> post(const std::string& target, const std::string& body,
                       std::optional<Duration> limit) const;

    /// A pidfd of the process that listens: readable once it has gone.
    Result<UniqueFd> supervisor_process() const;

    const std::string& socket_path() const { return path_; }

  private:
    Result<UniqueFd> connect() const;
    Result<Reply> exchange(const char* method, const std::string& target, const std::string& body,
                           std::optional<Duration> limit) const;

    std::string path_;
};

}  // namespace supervise::cli
