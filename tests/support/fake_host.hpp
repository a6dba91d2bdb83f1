#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "ipc/message.hpp"
#include "supervisor/process/cgroup.hpp"
#include "supervisor/process/launcher.hpp"

namespace supervise::test {

/// A worker or a template whose part the test plays: its process is a puppet (puppet.cpp), its end
/// of the channel and its memory are the test's.
class FakeWorker {
  public:
    std::string leaf;  ///< "slot.incarnation", "spare.N", "template.N": its name for good
    LeafLimits limits;
    LaunchSpec spec;               ///< what it was launched with; its descriptors are closed by now
    FakeWorker* parent = nullptr;  ///< the template that has forked it; null: it was launched
    pid_t pid = 0;
    MemorySample memory;
    std::optional<MemoryEvents> events = MemoryEvents{};
    UniqueFd payload;               ///< came with the last job, if one did
    std::vector<UniqueFd> to_fork;  ///< came with the last FORK
    bool killed = false;            ///< by the pool, with all in its leaf
    bool populated = false;         ///< a process is left in its leaf
    bool leaf_removed = false;

    bool launched() const { return pid != 0; }
    bool is_template() const;
    void send(const ipc::Message& message);
    void send_bytes(std::string_view frame);
    /// The next message from the pool, if one has come; it points into a buffer until the next
    /// call.
    std::optional<ipc::Message> receive();
    /// HELLO, REGISTER of `tasks`, READY.
    void get_ready(const std::vector<ipc::TaskInfo>& tasks);
    /// Writes to its mark that it begins an attempt, as a worker does right before it calls.
    void begin(const ipc::Job& job);
    void hang_up();       ///< closes the channel; what is unread stays so
    void exit(int code);  ///< hangs up and ends the process
    void signal(int number);

  private:
    friend class FakeHost;
    UniqueFd channel_;
    UniqueFd mark_;     ///< came with WELCOME or FORK
    UniqueFd strings_;  ///< to the puppet's descriptor 3
    char frame_[1025];  ///< the last one received
};

/// What a pool sees of the machine: launches puppets, and has cgroups that say what the test wants.
class FakeHost final : public Launcher, public Cgroups {
  public:
    FakeHost();
    ~FakeHost() override;

    /// Of all times, in the order of their launches; templates are among them.
    std::deque<FakeWorker> workers;
    MemorySample fresh{};           ///< the memory of a new worker
    MemorySample fresh_template{};  ///< and of a new template
    bool has_v1_memory = false;     ///< a leaf has a v1 `tasks` file to join by, too
    std::string launch_failure;     ///< when set, a launch fails with it
    int launch_error = ENOENT;      ///< why
    unsigned failed_launches = 0;
    /// The worker of a leaf's name, null before its launch begins.
    FakeWorker* find(const std::string& leaf);

    boost::asio::awaitable<Result<Launched>> launch(LaunchSpec spec) override;
    /// Does what a template was asked to by the FORK that it received last, but for the answer.
    boost::asio::awaitable<FakeWorker*> fork(FakeWorker& parent);

    Tier tier() const override { return Tier::b; }
    const std::vector<std::string>& features() const override { return features_; }
    const std::string& reason() const override { return reason_; }
    std::uint64_t memory_limit() const override { return 1ULL << 40; }
    Result<std::unique_ptr<Leaf>> make_leaf(const std::string& pool, const std::string& name,
                                            const LeafLimits& limits) override;
    void remove_all() override {}

  private:
    FakeWorker& at(int descriptor);
    boost::asio::awaitable<Result<Launched>> start_puppet(FakeWorker& worker, int out, int err);

    std::string root_;  ///< has a directory a leaf
    std::vector<std::string> features_;
    std::string reason_;
};

}  // namespace supervise::test
