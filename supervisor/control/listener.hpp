#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.hpp"
#include "supervise/error.hpp"

namespace supervise::control {

/// A listening socket, non-blocking and close-on-exec. One on a path removes it when it goes; the
/// runtime directory's lock makes sure that the path is ours.
class Listener {
  public:
    /// Takes over a path that a dead supervisor left. `for_others`: any user may connect, and
    /// whoever accepts checks the peer.
    static Result<Listener> on_path(const std::string& path, bool for_others);
    /// "127.0.0.1:9877", "[::1]:9877", "localhost:0".
    static Result<Listener> on_address(const std::string& host_port);

    Listener(Listener&&) = default;
    Listener& operator=(Listener&&) = delete;
    ~Listener();

    int fd() const { return fd_.get(); }
    bool is_local() const { return local_; }
    /// The path, or the address with the port that the kernel gave.
    const std::string& name() const { return name_; }

  private:
    Listener(UniqueFd fd, bool local, std::string name)
        : fd_(std::move(fd)), local_(local), name_(std::move(name)) {}

    UniqueFd fd_;
    bool local_;
    std::string name_;
};

}  // namespace supervise::control
