#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include "tests/unit/pool/stage.hpp"

namespace supervise::test {

inline const std::string no_args(1, '\0');

/// A connection to the stage's pool, as a client has it.
class Client {
  public:
    explicit Client(Stage& stage)
        : stage_(stage), channel_(stage.loop().get_executor(), stage.connect()) {}

    ipc::Channel::SendStatus send(const ipc::Message& message, int descriptor = -1) {
        return channel_.send(ipc::encode(message).bytes(), descriptor);
    }
    void send_bytes(const std::string& bytes) {
        REQUIRE(::send(channel_.native_handle(), bytes.data(), bytes.size(), 0) ==
                static_cast<ssize_t>(bytes.size()));
    }
    void greet() {
        send(ipc::Hello{});
        CHECK(next<ipc::Welcome>().pool == "p");
    }
    void submit(unsigned count, const char* task = "app.work", std::uint32_t first_tag = 0) {
        ipc::Submit message;
        message.task = task;
        message.first_tag = first_tag;
        message.jobs.assign(count, no_args);
        send(message);
    }
    void call(std::uint32_t tag) {
        const UniqueFd payload(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        ipc::Call message;
        message.tag = tag;
        message.task = "app.work";
        message.key = "a-key";
        send(message, payload.get());
    }
    void cancel(JobId id, bool terminate = false) { send(ipc::Cancel{terminate, {id}}); }

    /// Waits for the next message, which must be an M; it points into a buffer until the next call.
    template <class M>
    M next() {
        std::optional<M> found;
        stage_.until("a message to a client", [&] {
            received_ = channel_.receive();
            if (received_.status == ipc::Channel::Received::Status::closed) {
                throw std::runtime_error("the pool has closed a client's connection");
            }
            return received_.status == ipc::Channel::Received::Status::frame;
        });
        const auto decoded = ipc::decode(received_.frame);
        return std::get<M>(std::get<ipc::Message>(decoded));
    }
    bool hears_nothing() {
        stage_.turn();
        return channel_.receive().status == ipc::Channel::Received::Status::none;
    }
    /// Reads until the pool's end of the connection; how many frames that were.
    std::size_t frames_to_the_end() {
        std::size_t frames = 0;
        stage_.until("the end of a client's connection", [&] {
            for (;;) {
                const auto status = channel_.receive().status;
                if (status != ipc::Channel::Received::Status::frame) {
                    return status == ipc::Channel::Received::Status::closed;
                }
                ++frames;
            }
        });
        return frames;
    }
    /// CLOSE with this reason, and nothing after it.
    void is_closed_for(ipc::Refusal reason) {
        CHECK(next<ipc::Close>().reason == reason);
        CHECK(frames_to_the_end() == 0);
    }
    void leave() { channel_.close(); }

  private:
    Stage& stage_;
    ipc::Channel channel_;
    ipc::Channel::Received received_;
};

}  // namespace supervise::test
