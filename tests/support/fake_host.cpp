#include "tests/support/fake_host.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <stdexcept>

namespace supervise::test {
namespace asio = boost::asio;

namespace {

class FakeLeaf final : public Leaf {
  public:
    FakeLeaf(FakeWorker& worker, int number) : worker_(worker), number_(number) {}

    /// No descriptor: by it the launcher knows which worker it launches.
    int cgroup_dir() const override { return number_; }
    int cgroup_v1_tasks() const override { return -1; }
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
    int number_;
};

}  // namespace

void FakeWorker::send(const ipc::Message& message) { send_bytes(ipc::encode(message).bytes()); }

void FakeWorker::send_bytes(std::string_view frame) {
    if (channel_->send(frame) == ipc::Channel::SendStatus::full) {
        throw std::runtime_error("the pool does not read the channel of worker " + leaf);
    }
}

std::optional<ipc::Message> FakeWorker::receive() {
    ipc::Channel::Received received = channel_->receive();
    if (received.status != ipc::Channel::Received::Status::frame) {
        return std::nullopt;
    }
    const auto decoded = ipc::decode(received.frame);
    if (const auto* error = std::get_if<ipc::DecodeError>(&decoded)) {
        throw std::runtime_error("the pool sent a bad frame: " + error->message);
    }
    const auto& message = std::get<ipc::Message>(decoded);
    if (std::holds_alternative<ipc::Welcome>(message)) {
        mark_ = std::move(received.descriptor);
    } else if (std::holds_alternative<ipc::Job>(message)) {
        payload = std::move(received.descriptor);
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

void FakeWorker::hang_up() { channel_->close(); }

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

Result<std::unique_ptr<Leaf>> FakeHost::make_leaf(const std::string& /*pool*/,
                                                  const std::string& name,
                                                  const LeafLimits& limits) {
    const int number = static_cast<int>(workers.size());
    FakeWorker& worker = workers.emplace_back();
    worker.leaf = name;
    worker.limits = limits;
    worker.memory = fresh;
    return std::unique_ptr<Leaf>(std::make_unique<FakeLeaf>(worker, number));
}

asio::awaitable<Result<Launched>> FakeHost::launch(LaunchSpec spec) {
    FakeWorker& worker = workers.at(static_cast<std::size_t>(spec.cgroup_dir));
    worker.spec = spec;
    if (!launch_failure.empty()) {
        ++failed_launches;
        co_return errno_error("exec", launch_failure, ENOENT);
    }
    worker.channel_ = std::make_unique<ipc::Channel>(
        executor_, UniqueFd(::fcntl(spec.channel, F_DUPFD_CLOEXEC, 0)));
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        throw std::runtime_error("pipe2");
    }
    const UniqueFd puppets(ends[0]);
    worker.strings_.reset(ends[1]);
    LaunchSpec puppet;
    puppet.argv = {PUPPET};
    puppet.directory = "/";
    puppet.out = spec.out;
    puppet.err = spec.err;
    puppet.channel = puppets.get();
    Result<Launched> launched = co_await system_launcher().launch(std::move(puppet));
    if (launched) {
        worker.pid = launched->pid;
    }
    co_return launched;
}

}  // namespace supervise::test
