#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <list>
#include <string>

namespace supervise {

/// Structured concurrency: coroutines that cannot outlive their owner. A child's error cancels its
/// siblings; `join()` waits for all of them and rethrows the first error. The owner must join before
/// the group is destroyed: a live child in the destructor is a bug and ends the program.
/// All calls on one thread.
class TaskGroup {
  public:
    explicit TaskGroup(boost::asio::any_io_executor executor);
    ~TaskGroup();
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// Starts a child. After cancel() a new child is started cancelled.
    void spawn(std::string name, boost::asio::awaitable<void> task);
    /// Asks every child to end (terminal cancellation).
    void cancel();
    /// Waits until no child is left. If the waiting coroutine is itself cancelled, the children are
    /// cancelled and the wait goes on.
    boost::asio::awaitable<void> join();
    bool empty() const { return children_.empty(); }

  private:
    struct Child {
        std::string name;
        boost::asio::cancellation_signal signal;
    };
    void finished(std::list<Child>::iterator child, std::exception_ptr error);

    boost::asio::any_io_executor executor_;
    std::list<Child> children_;
    std::exception_ptr first_error_;
    boost::asio::steady_timer changed_;  ///< never expires; cancelled when a child ends
    bool cancelled_ = false;
};

}  // namespace supervise
