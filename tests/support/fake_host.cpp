#include "tests/support/fake_host.hpp"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace supervise::test {
namespace asio = boost::asio;

namespace {

/// The file that a descriptor is of.
std::filesystem::path path_of(int descriptor) {
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor));
}

/// A directory in the place of a cgroup: by it the launcher knows which worker it launches.
class FakeLeaf final : public Leaf {
  public:
    FakeLeaf(FakeWorker& worker, const std::string& path, bool has_v1_memory)
        : worker_(worker), directory_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
        if (has_v1_memory) {
            tasks_.reset(::open((path + "/tasks").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        }
    }

    int cgroup_dir() const override { return directory_.get(); }
    int cgroup_v1_tasks() const override { return tasks_.get(); }
    void attach(pid_t /*pid*/) override {}
    std::optional<MemorySample> sample() override { return worker_.memory; }
    std::optional<MemoryEvents> events() override { return worker_.events; }
    Result<void> kill_all(pid_t pid) override {
        worker_.killed = true;
        ::kill(pid, SIGKILL);
        return {};
    }
    bool populated() override { return worker_.populated; }
    Result<void> remove() override {
        worker_.leaf_removed = true;
        return {};
    }

  private:
    FakeWorker& worker_;
    UniqueFd directory_, tasks_;
};

}  // namespace

void FakeWorker::send(const ipc::Message& message) { send_bytes(ipc::encode(message).bytes()); }

bool FakeWorker::is_template() const {
    return std::find(spec.argv.begin(), spec.argv.end(), "--template") != spec.argv.end();
}

void FakeWorker::send_bytes(std::string_view frame) {
    const ssize_t sent =
        ::send(channel_.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
        throw std::runtime_error("the pool does not read the channel of worker " + leaf);
    }
}

std::optional<ipc::Message> FakeWorker::receive() {
    iovec data{frame_, sizeof frame_};
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
    msghdr record{};
    record.msg_iov = &data;
    record.msg_iovlen = 1;
    record.msg_control = control;
    record.msg_controllen = sizeof control;
    const ssize_t size = ::recvmsg(channel_.get(), &record, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size <= 0) {
        return std::nullopt;
    }
    std::vector<UniqueFd> descriptors;
    if (const cmsghdr* const part = CMSG_FIRSTHDR(&record)) {
        descriptors.resize((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (std::size_t i = 0; i < descriptors.size(); ++i) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(part) + i * sizeof descriptor, sizeof descriptor);
            descriptors[i].reset(descriptor);
        }
    }
    const auto decoded = ipc::decode({frame_, static_cast<std::size_t>(size)});
    if (const auto* error = std::get_if<ipc::DecodeError>(&decoded)) {
        throw std::runtime_error("the pool sent a bad frame: " + error->message);
    }
    const auto& message = std::get<ipc::Message>(decoded);
    const auto* const fork = std::get_if<ipc::Fork>(&message);
    const std::size_t due = fork != nullptr                ? ipc::fork_descriptors(*fork)
                            : ipc::has_descriptor(message) ? 1
                                                           : 0;
    if (descriptors.size() != due) {
        throw std::runtime_error("the pool sent worker " + leaf + " the wrong descriptors");
    }
    if (fork != nullptr) {
        to_fork = std::move(descriptors);
    } else if (std::holds_alternative<ipc::Welcome>(message) && !descriptors.empty()) {
        mark_ = std::move(descriptors[0]);
    } else if (std::holds_alternative<ipc::Job>(message)) {
        payload = descriptors.empty() ? UniqueFd() : std::move(descriptors[0]);
    }
    return message;
}

void FakeWorker::get_ready(const std::vector<ipc::TaskInfo>& tasks) {
    ipc::Hello hello;
    hello.role = ipc::Role::worker;
    hello.pid = static_cast<std::uint32_t>(pid);
    hello.software = "a test";
    send(hello);
    send(ipc::Register{tasks});
    send(ipc::Ready{});
}

void FakeWorker::begin(const ipc::Job& job) {
    const std::uint64_t mark[2] = {job.id, job.attempt};
    if (::pwrite(mark_.get(), mark, sizeof mark, 0) != sizeof mark) {
        throw std::runtime_error("worker " + leaf + " has no mark to write to");
    }
}

void FakeWorker::hang_up() { channel_.reset(); }

void FakeWorker::exit(int code) {
    hang_up();
    const auto byte = static_cast<unsigned char>(code);
    if (::write(strings_.get(), &byte, 1) != 1) {
        throw std::runtime_error("the process of worker " + leaf + " has gone already");
    }
}

void FakeWorker::signal(int number) { ::kill(pid, number); }

FakeWorker* FakeHost::find(const std::string& leaf) {
    for (FakeWorker& worker : workers) {
        if (worker.leaf == leaf) {
            return &worker;
        }
    }
    return nullptr;
}

FakeHost::FakeHost() {
    char path[] = "/tmp/supervise-leaves-XXXXXX";
    if (::mkdtemp(path) == nullptr) {
        throw std::runtime_error("mkdtemp");
    }
    root_ = path;
}

FakeHost::~FakeHost() { std::filesystem::remove_all(root_); }

Result<std::unique_ptr<Leaf>> FakeHost::make_leaf(const std::string& /*pool*/,
                                                  const std::string& name,
                                                  const LeafLimits& limits) {
    const std::string path = root_ + '/' + name;
    if (!std::filesystem::create_directory(path)) {
        return errno_error("make leaf", name, EEXIST);
    }
    std::ofstream(path + "/cgroup.procs").flush();
    FakeWorker& worker = workers.emplace_back();
    worker.leaf = name;
    worker.limits = limits;
    worker.memory = name.starts_with("template.") ? fresh_template : fresh;
    return std::unique_ptr<Leaf>(std::make_unique<FakeLeaf>(worker, path, has_v1_memory));
}

/// Whose leaf it is that a descriptor of it, or of a file in it, belongs to.
FakeWorker& FakeHost::at(int descriptor) {
    const std::filesystem::path path = path_of(descriptor);
    const bool is_leaf = path.parent_path() == root_;
    FakeWorker* const found = find((is_leaf ? path : path.parent_path()).filename());
    if (found == nullptr) {
        throw std::runtime_error("no leaf has " + path.string());
    }
    return *found;
}

asio::awaitable<Result<Launched>> FakeHost::launch(LaunchSpec spec) {
    FakeWorker& worker = at(spec.cgroup_dir);
    worker.spec = spec;
    if (!launch_failure.empty()) {
        ++failed_launches;
        co_return errno_error("exec", launch_failure, launch_error);
    }
    worker.channel_.reset(::fcntl(spec.channel, F_DUPFD_CLOEXEC, 0));
    co_return co_await start_puppet(worker, spec.out, spec.err);
}

asio::awaitable<FakeWorker*> FakeHost::fork(FakeWorker& parent) {
    std::vector<UniqueFd> given = std::exchange(parent.to_fork, {});
    FakeWorker& worker = at(given.at(4).get());
    worker.parent = &parent;
    worker.channel_ = std::move(given[0]);
    worker.mark_ = std::move(given[1]);
    const Result<Launched> launched = co_await start_puppet(worker, given[2].get(), given[3].get());
    launched.value();
    co_return &worker;
}

asio::awaitable<Result<Launched>> FakeHost::start_puppet(FakeWorker& worker, int out, int err) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        throw std::runtime_error("pipe2");
    }
    const UniqueFd puppets(ends[0]);
    worker.strings_.reset(ends[1]);
    LaunchSpec puppet;
    puppet.argv = {PUPPET};
    if (worker.leaf.starts_with("front.")) {
        puppet.argv.emplace_back("front");
    }
    puppet.directory = "/";
    puppet.out = out;
    puppet.err = err;
    puppet.channel = puppets.get();
    Result<Launched> launched = co_await system_launcher().launch(std::move(puppet));
    if (launched) {
        worker.pid = launched->pid;
    }
    co_return launched;
}

}  // namespace supervise::test
