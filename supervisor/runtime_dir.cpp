#include "runtime_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/control_file.hpp"

namespace supervise {
namespace {

constexpr const char* lock_name = "/supervise.lock";

bool same_file(int fd, const std::string& path) {
    struct stat open_one {};
    struct stat named_one {};
    return ::fstat(fd, &open_one) == 0 && ::stat(path.c_str(), &named_one) == 0 &&
           open_one.st_ino == named_one.st_ino && open_one.st_dev == named_one.st_dev;
}

Result<UniqueFd> take_lock(const std::string& path) {
    for (;;) {
        UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!lock) {
            return errno_error("open", path);
        }
        if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
            const int number = errno;
            const Result<std::string> pid = read_control_file(AT_FDCWD, path);
            const auto holder = pid ? parse_counter(*pid) : std::nullopt;
            return errno_error(
                "lock " + path + ": another supervise (pid " +
                    (holder ? std::to_string(*holder) : std::string("unknown")) +
                    ") runs on this runtime directory; stop it or set supervisor.runtime_dir",
                {}, number);
        }
        // The former holder may have unlinked the file between our open and our lock.
        if (same_file(lock.get(), path)) {
            const std::string pid = std::to_string(::getpid()) + '\n';
            if (::ftruncate(lock.get(), 0) != 0 ||
                ::pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
                return errno_error("write", path);
            }
            return lock;
        }
    }
}

}  // namespace

Result<RuntimeDir> RuntimeDir::open(const std::string& path, bool open_to_others) {
    const mode_t mode = open_to_others ? 0711 : 0700;
    std::error_code failure;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failure);
    const bool made = ::mkdir(path.c_str(), mode) == 0;
    if (!made && errno != EEXIST) {
        return errno_error("make runtime directory", path);
    }
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
        return errno_error("look at runtime directory", path);
    }
    if (!S_ISDIR(info.st_mode)) {
        return errno_error("use as runtime directory", path, ENOTDIR);
    }
    if (info.st_uid != ::geteuid()) {
        return errno_error("use runtime directory " + path + ", which belongs to user " +
                               std::to_string(info.st_uid) +
                               "; set supervisor.runtime_dir to one of your own",
                           {}, EPERM);
    }
    if ((info.st_mode & 0022) != 0 && ::chmod(path.c_str(), mode) != 0) {
        return errno_error("tighten the mode of runtime directory", path);
    }
    if (made && ::chmod(path.c_str(), mode) != 0) {  // whatever the umask was
        return errno_error("set the mode of runtime directory", path);
    }
    if (!made && open_to_others && ::chmod(path.c_str(), info.st_mode | 0111) != 0) {
        return errno_error("open the way through runtime directory", path);
    }
    Result<UniqueFd> lock = take_lock(path + lock_name);
    if (!lock) {
        return lock.error();
    }
    return RuntimeDir(path, std::move(*lock), made);
}

void RuntimeDir::let_others_in() {
    struct stat info {};
    if (::stat(path_.c_str(), &info) == 0) {
        ::chmod(path_.c_str(), info.st_mode | 0111);
    }
}

RuntimeDir::~RuntimeDir() {
    if (lock_) {
        ::unlink((path_ + lock_name).c_str());
        if (made_) {
            ::rmdir(path_.c_str());
        }
    }
}

}  // namespace supervise
