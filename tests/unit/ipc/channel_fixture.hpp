#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ipc/channel.hpp"
#include "tests/support/catch.hpp"

namespace supervise::test {

/// A channel and the bare socket of its peer, which does what no channel would.
struct ChannelFixture {
    ChannelFixture() {
        auto pair = ipc::make_channel_pair().value();
        channel.emplace(io.get_executor(), std::move(pair.first));
        peer = std::move(pair.second);
    }
    ssize_t peer_sends(std::string_view bytes) const {
        return ::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    std::string peer_reads() const {
        char buffer[2048];
        const ssize_t got = ::recv(peer.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        return got < 0 ? "nothing" : std::string(buffer, static_cast<std::size_t>(got));
    }
    std::vector<UniqueFd> peer_takes_descriptors() const {
        char buffer[64];
        iovec data{buffer, sizeof buffer};
        alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        std::vector<UniqueFd> taken;
        if (::recvmsg(peer.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) > 0) {
            if (const cmsghdr* part = CMSG_FIRSTHDR(&message)) {
                std::vector<int> fds((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                std::memcpy(fds.data(), CMSG_DATA(part), fds.size() * sizeof(int));
                for (const int fd : fds) {
                    taken.emplace_back(fd);
                }
            }
        }
        return taken;
    }

    boost::asio::io_context io;
    std::optional<ipc::Channel> channel;
    UniqueFd peer;
};

inline int open_descriptors() {
    int count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
        ++count;
    }
    return count;
}

inline ino_t inode(int fd) {
    struct stat found {};
    REQUIRE(::fstat(fd, &found) == 0);
    return found.st_ino;
}

inline UniqueFd some_file() {
    UniqueFd file(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    REQUIRE(file);
    return file;
}

inline void send_with_descriptors(int socket, const std::vector<int>& fds, std::string text = "x") {
    iovec data{text.data(), text.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
    REQUIRE(::sendmsg(socket, &message, MSG_DONTWAIT) == static_cast<ssize_t>(text.size()));
}

}  // namespace supervise::test
