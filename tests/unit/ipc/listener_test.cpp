#include "ipc/listener.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/loop.hpp"

using namespace supervise;
using namespace supervise::ipc;
using namespace supervise::test;
namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

struct Fixture {
    Fixture() {
        char name[] = "/tmp/supervise-listener-XXXXXX";
        directory = ::mkdtemp(name);
        path = directory / "pool.sock";
    }
    ~Fixture() { fs::remove_all(directory); }
    Fixture(const Fixture&) = delete;
    Fixture& operator=(const Fixture&) = delete;

    Result<Listener> open(mode_t mode = 0600) {
        return Listener::open(io.get_executor(), path, mode);
    }
    /// A client; none when nobody listens.
    UniqueFd connect() const {
        UniqueFd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.string().copy(address.sun_path, sizeof address.sun_path - 1);
        if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) <
            0) {
            client.reset();
        }
        return client;
    }

    asio::io_context io;
    fs::path directory;
    fs::path path;
};

mode_t mode_of(const fs::path& path) {
    struct stat found {};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    return found.st_mode & 07777;
}

asio::awaitable<void> accept_into(Listener& listener, std::vector<UniqueFd>& accepted, int count) {
    for (int i = 0; i < count; ++i) {
        UniqueFd client = co_await listener.accept();
        accepted.push_back(std::move(client));
    }
}

/// Sleeps by giving the process its descriptors back.
class LiftingClock final : public Clock {
  public:
    explicit LiftingClock(rlimit limit) : limit_(limit) {}
    TimePoint now() const override { return {}; }
    asio::awaitable<void> sleep_until(TimePoint when) override {
        slept += when - TimePoint{};
        ++sleeps;
        if (sleeps == 3) {
            ::setrlimit(RLIMIT_NOFILE, &limit_);
        }
        co_return;
    }
    int sleeps = 0;
    Duration slept{};

  private:
    rlimit limit_;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a client is accepted, and known", "[listener]") {
    Listener listener = open().value();
    const UniqueFd client = connect();
    REQUIRE(client);
    std::vector<UniqueFd> accepted;
    run(io, accept_into(listener, accepted, 1));
    const int fd = accepted.at(0).get();
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    const PeerCredentials peer = peer_credentials(fd).value();
    CHECK(peer.pid == ::getpid());
    CHECK(peer.uid == ::getuid());
    CHECK(peer.gid == ::getgid());
    REQUIRE(::send(client.get(), "hello", 5, 0) == 5);
    char buffer[16];
    CHECK(::recv(fd, buffer, sizeof buffer, 0) == 5);
    CHECK_FALSE(peer_credentials(-1).has_value());
}

TEST_CASE_METHOD(Fixture, "clients wait until they are accepted", "[listener]") {
    Listener listener = open().value();
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 200; ++i) {
        clients.push_back(connect());
        REQUIRE(clients.back());
    }
    std::vector<UniqueFd> accepted;
    run(io, accept_into(listener, accepted, 200));
    CHECK(accepted.size() == 200);
}

TEST_CASE_METHOD(Fixture, "the socket's mode is what was asked for, whatever the umask",
                 "[listener]") {
    const mode_t old = ::umask(0077);
    {
        const Listener listener = open(0666).value();
        CHECK(mode_of(path) == 0666);
    }
    ::umask(0);
    {
        const Listener listener = open(0600).value();
        CHECK(mode_of(path) == 0600);
    }
    ::umask(old);
}

TEST_CASE_METHOD(Fixture, "a socket that nobody serves is replaced", "[listener]") {
    {
        const UniqueFd dead(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.string().copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                0);
    }
    REQUIRE(fs::exists(path));
    const Listener listener = open().value();
    CHECK(connect());
}

TEST_CASE_METHOD(Fixture, "a socket that is served is left alone", "[listener]") {
    const Listener first = open().value();
    const Result<Listener> second = open();
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code.value() == EADDRINUSE);
    CHECK_THAT(second.error().message(), ContainsSubstring("another program serves this socket"));
    CHECK(connect());
}

TEST_CASE_METHOD(Fixture, "a file that is no socket is left alone", "[listener]") {
    std::ofstream(path) << "precious";
    const Result<Listener> listener = open();
    REQUIRE_FALSE(listener.has_value());
    CHECK_THAT(listener.error().message(), ContainsSubstring("not a socket"));
    CHECK(fs::file_size(path) == 8);
}

TEST_CASE_METHOD(Fixture, "an error names the step and the path", "[listener]") {
    path = directory / std::string(120, 'x');
    CHECK_THAT(open().error().message(), ContainsSubstring("runtime_dir"));
    path = directory / "missing" / "pool.sock";
    const std::string message = open().error().message();
    CHECK_THAT(message, ContainsSubstring("bind a socket to " + path.string()));
    CHECK_THAT(message, ContainsSubstring("No such file"));
}

TEST_CASE_METHOD(Fixture, "a listener takes its path with it, from where it was moved to last",
                 "[listener]") {
    {
        Listener first = open().value();
        const Listener second = std::move(first);
        CHECK(second.path() == path.string());
        CHECK(connect());
    }
    CHECK_FALSE(fs::exists(path));
    {
        Listener kept = open().value();
        { const Listener moved = std::move(kept); }
        CHECK_FALSE(fs::exists(path));
        std::ofstream(path) << "of somebody else";
    }
    CHECK(fs::exists(path));
}

TEST_CASE_METHOD(Fixture, "a path that somebody else has taken over is left to them",
                 "[listener]") {
    {
        const Listener listener = open().value();
        std::ofstream(directory / "other") << "other";
        fs::rename(directory / "other", path);
    }
    CHECK(fs::exists(path));
}

TEST_CASE_METHOD(Fixture, "a cancelled accept throws", "[listener]") {
    Listener listener = open().value();
    std::vector<UniqueFd> accepted;
    asio::cancellation_signal signal;
    boost::system::error_code code;
    const auto end = [&](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const boost::system::system_error& failure) {
            code = failure.code();
        }
    };
    asio::co_spawn(io, accept_into(listener, accepted, 1),
                   asio::bind_cancellation_slot(signal.slot(), end));
    run_ready(io);
    CHECK_FALSE(code);
    signal.emit(asio::cancellation_type::terminal);
    run_ready(io);
    CHECK(code == asio::error::operation_aborted);
}

TEST_CASE_METHOD(Fixture, "without free descriptors accepting pauses and then goes on",
                 "[listener]") {
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    LiftingClock clock(old);
    Listener listener = Listener::open(io.get_executor(), path, 0600, clock).value();
    // UBSan looks a class up with a pipe, the first time: it could not make one further down.
    run(io, static_cast<Clock&>(clock).sleep_for({}));
    clock.sleeps = 0;
    const UniqueFd client = connect();
    const rlimit none{static_cast<rlim_t>(UniqueFd(::dup(client.get())).get()), old.rlim_max};
    std::vector<UniqueFd> accepted;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    run(io, accept_into(listener, accepted, 1));
    CHECK(accepted.size() == 1);
    CHECK(clock.sleeps == 3);
    CHECK(clock.slept == std::chrono::milliseconds(300));
}
