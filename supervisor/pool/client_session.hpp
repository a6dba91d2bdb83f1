#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <string>

#include "base/task_group.hpp"
#include "ipc/channel.hpp"
#include "job_desk.hpp"
#include "supervise/clock.hpp"

namespace supervise {

class ClientSession;

/// What a session asks of its pool.
class ClientDesk {
  public:
    virtual ~ClientDesk() = default;
    virtual std::variant<JobId, Rejection> client_submits(JobDesk::Request request) = 0;
    virtual void client_cancels(JobId id, bool terminate) = 0;
    virtual void client_signals(JobId id, int number) = 0;
    virtual bool takes_calls() const = 0;  ///< payload jobs, and no others
    /// After a batch of submits: hand the new jobs to idle workers.
    virtual void client_submitted() = 0;
    /// This session has results to send at the end of this turn of the loop.
    virtual void flush_later(ClientSession& session) = 0;
    virtual std::string_view pool_name() const = 0;
    virtual std::uint64_t queue_limit() const = 0;
    virtual std::uint32_t size() const = 0;  ///< jobs that it runs at a time
    virtual bool ending() const = 0;         ///< every job is being given its end
    /// Waits until the pool knows its tasks, or has failed to start, or stops.
    virtual boost::asio::awaitable<void> tasks_known() = 0;
};

/// One client's connection: HELLO, then submits in and results out. Bounded both ways: a client
/// that does not read is not read from, and closed in the end. Owned by the intake.
class ClientSession final : public Submitter {
  public:
    ClientSession(boost::asio::any_io_executor executor, Clock& clock, ClientDesk& desk,
                  const JobDesk& jobs, UniqueFd socket);

    /// Serves until the peer leaves or close(); never throws but for cancellation.
    boost::asio::awaitable<void> run();
    /// Says why (as far as the peer reads) and ends the session.
    void close(ipc::Refusal reason, const std::string& message);
    /// Called about once a second: hello missing, or nothing read for 30 s.
    void check(TimePoint now);
    void tell_size();  ///< after a change; matters where payload jobs are taken
    void flush();      ///< sends the results collected so far
    /// Sends them, or holds them for fuller frames while many more are to come. True: it holds them
    /// and those that follow, until they are enough or flush() is called, which must be soon.
    bool flush_or_hold();
    bool drained() const { return pending_entries_.empty() && out_.empty(); }

    void job_ended(JobId id, JobState state, unsigned attempts, std::string_view report) override;
    void job_begun(const ipc::Begun& begun) override;
    void job_soft_limit(JobId id) override;
    void job_reply(JobId /*id*/, UniqueFd reply) override { reply_ = std::move(reply); }

  private:
    boost::asio::awaitable<void> read();
    boost::asio::awaitable<void> write();
    bool handle(std::string_view frame, UniqueFd descriptor);
    bool is_ours(JobId id) const;
    bool greet(const ipc::Message& message);
    void submit(const ipc::Submit& message);
    void call(const ipc::Call& message, UniqueFd payload);
    void tell_accepted();
    void refuse(std::uint32_t first_tag, std::size_t count, const Rejection& rejection);
    void send(std::string_view frame, UniqueFd descriptor = UniqueFd());
    bool hung_up();
    bool may_hold() const;
    void send_results();
    bool crowded() const { return out_bytes_ > 64 * 1024; }

    Clock& clock_;
    ClientDesk& desk_;
    const JobDesk& jobs_;
    ipc::Channel channel_;
    TaskGroup group_;
    TimePoint opened_at_;
    TimePoint moved_at_;  ///< when the peer last took something, or had nothing to take
    enum class Phase { hello, waiting, open, closed } phase_ = Phase::hello;

    struct Outgoing {
        std::string frame;
        UniqueFd descriptor;
    };
    std::deque<Outgoing> out_;  ///< frames that the kernel had no room for
    std::size_t out_bytes_ = 0;
    boost::asio::steady_timer out_changed_;  ///< never expires; cancelled when out_ has changed

    /// Of calls that a worker has been handed at once: they wait for its BEGUN, so that the client
    /// wakes up once for both. Any other frame takes them along, too, and so does check().
    std::vector<ipc::Accepted> untold_;

    struct Entry {
        JobId id;
        JobState state;
        std::uint16_t attempts;
        std::string report;
    };
    std::vector<Entry> pending_entries_;
    std::size_t pending_size_ = ipc::header_size;
    UniqueFd reply_;     ///< of the job whose end is told next
    bool held_ = false;  ///< flush() is going to be called
};

}  // namespace supervise
