#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <list>
#include <memory>
#include <string>

namespace supervise {

/// Structured concurrency: coroutines that cannot outlive their owner. A child's error cancels its
/// siblings; `join()` waits for all of them and rethrows the first error. The owner must join
/// before the group is destroyed: a live child in the destructor is a bug and ends the program. All
/// calls on one thread, that of the executor; each may come from within a child.
///
/// Asio lets a coroutine that is already cancelled await nothing, not even join(). An owner that
/// may be (it has awaited something else since it could last be cancelled) therefore begins with
/// `co_await asio::this_coro::throw_if_cancelled(false);`.
class TaskGroup {
  public:
    explicit TaskGroup(boost::asio::any_io_executor executor);
    ~TaskGroup();
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// Starts a child in the loop's next turn. After cancel() a new child is started all the same,
    /// and cancelled where it first waits.
    void spawn(std::string name, boost::asio::awaitable<void> task);
    /// Asks every child to end (terminal cancellation), in the loop's next turn.
    void cancel();
    /// Waits until no child is left. If the waiting coroutine is itself cancelled, before or
    /// meanwhile, the children are cancelled and the wait goes on; afterwards that coroutine is no
    /// longer cancelled nor can be, so that it may clean up.
    boost::asio::awaitable<void> join();
    bool empty() const { return children_.empty(); }

  private:
    struct Child {
        std::string name;
        boost::asio::cancellation_signal signal;
        bool started = false;
        bool ended = false;
    };
    using Children = std::list<std::shared_ptr<Child>>;
    boost::asio::awaitable<void> run(std::shared_ptr<Child> child,
                                     boost::asio::awaitable<void> task);
    void cancel_later(std::shared_ptr<Child> child);
    void finished(Children::iterator place, std::exception_ptr error);

    boost::asio::any_io_executor executor_;
    Children children_;
    std::exception_ptr first_error_;
    boost::asio::steady_timer changed_;  ///< never expires; cancelled when a child ends
    bool cancelled_ = false;
};

}  // namespace supervise
