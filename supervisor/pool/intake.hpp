#pragma once

#include <list>
#include <memory>
#include <vector>

#include "client_session.hpp"
#include "context.hpp"
#include "ipc/listener.hpp"

namespace supervise {

/// The pool's front door: its socket, who may come in, and the sessions of those who did. Owned by
/// the pool, which is its desk.
class Intake {
  public:
    Intake(PoolContext& context, ClientDesk& desk, JobDesk& jobs,
           std::shared_ptr<const PoolSettings> settings);

    /// Makes the socket; before run(), so that a failure is one of the start.
    Result<void> open();
    /// Accepts clients until stop(), then lets results go out (2 s at most) and closes all.
    boost::asio::awaitable<void> run();
    void stop();

    void apply(std::shared_ptr<const PoolSettings> settings);
    void check(TimePoint now);
    void flush_later(ClientSession& session);
    std::size_t clients() const { return sessions_.size(); }

  private:
    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> serve(std::list<ClientSession>::iterator session);
    bool admit(const UniqueFd& socket);
    void end_turn();
    boost::asio::awaitable<void> flush_held();
    void flush_all();
    mode_t socket_mode() const;
    std::vector<uid_t> submitters() const;

    PoolContext& context_;
    ClientDesk& desk_;
    JobDesk& jobs_;
    std::shared_ptr<const PoolSettings> settings_;
    std::vector<uid_t> allowed_;
    std::unique_ptr<ipc::Listener> listener_;
    std::list<ClientSession> sessions_;
    std::vector<ClientSession*> dirty_;  ///< they have results to send, now or in a moment
    bool flush_posted_ = false;
    bool holding_ = false;  ///< flush_held() is under way
    TaskGroup accepting_, serving_;
};

/// The uids behind user names or numbers; those that do not exist are left out.
std::vector<uid_t> uids_of(const std::vector<std::string>& users);

}  // namespace supervise
