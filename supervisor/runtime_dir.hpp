#pragma once

#include <string>

#include "base/unique_fd.hpp"
#include "supervise/error.hpp"

namespace supervise {

/// The folder of our sockets, locked for one supervisor. Made if it is not there, and removed again
/// then.
class RuntimeDir {
  public:
    /// `open_to_others`: users besides root and our own may pass through (mode 0711, else 0700).
    /// Fails when the folder is somebody else's, or when a live supervisor holds it (EWOULDBLOCK;
    /// the message names its pid). A lock left by a dead one is taken over.
    static Result<RuntimeDir> open(const std::string& path, bool open_to_others);

    RuntimeDir(RuntimeDir&& other) noexcept = default;
    RuntimeDir& operator=(RuntimeDir&&) = delete;
    ~RuntimeDir();

    /// For users that a reload lets in.
    void let_others_in();
    const std::string& path() const { return path_; }

  private:
    RuntimeDir(std::string path, UniqueFd lock, bool made)
        : path_(std::move(path)), lock_(std::move(lock)), made_(made) {}

    std::string path_;
    UniqueFd lock_;  ///< flock(2): the kernel lets go of it when we die
    bool made_;
};

}  // namespace supervise
