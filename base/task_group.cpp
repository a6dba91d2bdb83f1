#include "task_group.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cstdio>

namespace supervise {
namespace asio = boost::asio;

namespace {

bool is_cancellation(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& failure) {
        return failure.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

}  // namespace

TaskGroup::TaskGroup(asio::any_io_executor executor)
    : executor_(executor), changed_(executor, asio::steady_timer::time_point::max()) {}

TaskGroup::~TaskGroup() {
    if (!children_.empty()) {
        for (const Child& child : children_) {
            std::fprintf(stderr, "task group destroyed with live child %s\n", child.name.c_str());
        }
        std::terminate();
    }
}

void TaskGroup::spawn(std::string name, asio::awaitable<void> task) {
    children_.emplace_back();
    const auto child = std::prev(children_.end());
    child->name = std::move(name);
    asio::co_spawn(executor_, std::move(task),
                   asio::bind_cancellation_slot(
                       child->signal.slot(),
                       [this, child](std::exception_ptr error) { finished(child, error); }));
    if (cancelled_) {
        child->signal.emit(asio::cancellation_type::terminal);
    }
}

void TaskGroup::cancel() {
    cancelled_ = true;
    // A child may end within emit() and take itself out of the list: step on before calling.
    for (auto it = children_.begin(); it != children_.end();) {
        const auto child = it++;
        child->signal.emit(asio::cancellation_type::terminal);
    }
}

void TaskGroup::finished(std::list<Child>::iterator child, std::exception_ptr error) {
    children_.erase(child);
    if (error && !is_cancellation(error)) {
        if (!first_error_) {
            first_error_ = error;
        }
        // Not from within this completion: a sibling may be the one whose emit() brought us here.
        if (!cancelled_) {
            cancelled_ = true;
            for (Child& sibling : children_) {
                asio::post(executor_, [this, name = &sibling] {
                    for (Child& live : children_) {
                        if (&live == name) {
                            live.signal.emit(asio::cancellation_type::terminal);
                            return;
                        }
                    }
                });
            }
        }
    }
    changed_.cancel();
}

asio::awaitable<void> TaskGroup::join() {
    while (!children_.empty()) {
        boost::system::error_code ignored;
        co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) {
            co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
            cancel();
        }
    }
    if (first_error_) {
        std::rethrow_exception(std::exchange(first_error_, nullptr));
    }
}

}  // namespace supervise
