#include "task_group.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cstdio>
#include <utility>

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
    if (!empty()) {
        for (const auto& child : children_) {
            std::fprintf(stderr, "task group destroyed with live child %s\n", child->name.c_str());
        }
        std::terminate();
    }
}

void TaskGroup::spawn(std::string name, asio::awaitable<void> task) {
    const auto place = children_.insert(children_.end(), std::make_shared<Child>());
    Child& child = **place;
    child.name = std::move(name);
    const auto at_end = [this, place](std::exception_ptr error) { finished(place, error); };
    asio::co_spawn(executor_, run(*place, std::move(task)),
                   asio::bind_cancellation_slot(child.signal.slot(), at_end));
}

asio::awaitable<void> TaskGroup::run(std::shared_ptr<Child> child, asio::awaitable<void> task) {
    // Asio 1.26 throws out of io_context::run() when a coroutine that has not yet been through the
    // loop ends cancelled; and this way spawn() never runs a child within its caller.
    co_await asio::post(executor_, asio::use_awaitable);
    child->started = true;
    if (cancelled_) {
        cancel_later(child);
    }
    co_await std::move(task);
}

void TaskGroup::cancel() {
    cancelled_ = true;
    for (const auto& child : children_) {
        cancel_later(child);
    }
}

/// From the loop, not from here: a child may go on right within emit(), and end itself or others.
/// One that has not started is left alone: it would never start; run() sees to it.
void TaskGroup::cancel_later(std::shared_ptr<Child> child) {
    asio::post(executor_, [child = std::move(child)] {
        if (child->started && !child->ended) {
            child->signal.emit(asio::cancellation_type::terminal);
        }
    });
}

void TaskGroup::finished(Children::iterator place, std::exception_ptr error) {
    (*place)->ended = true;
    children_.erase(place);
    if (error && !is_cancellation(error)) {
        if (!first_error_) {
            first_error_ = error;
        }
        if (!cancelled_) {
            cancel();
        }
    }
    changed_.cancel();
}

asio::awaitable<void> TaskGroup::join() {
    for (;;) {
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) {
            co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
            cancel();
        }
        if (empty()) {
            break;
        }
        boost::system::error_code ignored;
        co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    if (first_error_) {
        std::rethrow_exception(std::exchange(first_error_, nullptr));
    }
}

}  // namespace supervise
