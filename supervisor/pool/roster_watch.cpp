// Roster: what it looks at from time to time.
#include <algorithm>
#include <chrono>
#include <csignal>

#include "roster.hpp"

namespace supervise {
using namespace std::chrono_literals;

namespace {

constexpr Duration busy_period = 100ms;
constexpr Duration racing_period = 20ms;  ///< where memory.hard is set
constexpr Duration idle_period = 1s;
constexpr Duration least_period = 5ms;  ///< while a job races for its hard line
/// From RETIRE to the exit: atexit handlers and the interpreter's tear-down.
constexpr Duration retire_time = 10s;
/// From the channel's end to the exit, which most often come together.
constexpr Duration exit_time = 2s;
/// gc.collect() and malloc_trim() of a very large heap take seconds.
constexpr Duration trim_time = 60s;
/// Above `min`, the last slot goes when its worker was idle so long and the pool does not say.
constexpr Duration default_idle = 60s;

std::string milliseconds_text(Duration time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) +
           " ms";
}

}  // namespace

TimePoint Roster::tick(std::size_t waiting) {
    const TimePoint now = context_.clock->now();
    TimePoint next = now + busy_period;
    keeper_.tick(now, !breaker_.tripped());
    for (Worker& worker : workers_) {
        watch(worker, now);
        next = std::min(next, next_look(worker, now));
    }
    if (!stopping_) {
        autoscale(waiting, now);
        settle();
    }
    return std::max(next, now + least_period);
}

void Roster::watch(Worker& worker, TimePoint now) {
    WorkerRecord& record = worker.record;
    const bool busy = worker.state() == WorkerState::busy;
    if (now - record.sampled_at >= (busy ? least_period : idle_period)) {
        worker.sample_memory();
    }
    if (worker.channel_closed() && now - record.channel_closed_at > exit_time) {
        worker.broken("it closed its channel and stays");
    }
    switch (worker.state()) {
        case WorkerState::starting:
            if (now - record.launched_at > settings_->start_timeout) {
                worker.kill(Cause::exit, "not ready " +
                                             milliseconds_text(settings_->start_timeout) +
                                             " after its launch (start_timeout)");
            }
            break;
        case WorkerState::idle:
            if (worker.trimming() && now - record.trim_asked_at > trim_time) {
                worker.kill(Cause::exit, "killed: it did not answer a request to trim within " +
                                             milliseconds_text(trim_time));
            } else if (!stopping_ && worker.name().slot != 0) {
                judge(worker);
            }
            break;
        case WorkerState::busy: {
            const auto hard = settings_->memory.hard;
            if (hard && record.memory.private_bytes >= *hard) {
                worker.kill(Cause::memory_hard_limit,
                            "stopped by supervise: private memory of " +
                                bytes_text(record.memory.private_bytes) +
                                " reached memory.hard = " + bytes_text(*hard));
            } else if (record.deadline != TimePoint{} && now >= record.deadline) {
                worker.kill(Cause::time_limit, "stopped by supervise: over its time limit of " +
                                                   milliseconds_text(worker.job()->time_limit));
            } else if (record.soft_deadline != TimePoint{} && now >= record.soft_deadline &&
                       !record.soft_limit_sent) {
                worker.soft_limit();
            }
            break;
        }
        case WorkerState::retiring:
            if (record.retire_asked_at != TimePoint{} &&
                now - record.retire_asked_at > retire_time) {
                worker.kill(Cause::shutdown, "killed: it did not exit within " +
                                                 milliseconds_text(retire_time) +
                                                 " of being retired");
            }
            break;
        case WorkerState::spawning:
        case WorkerState::gone:
            break;
    }
}

TimePoint Roster::next_look(const Worker& worker, TimePoint now) const {
    TimePoint next = now + busy_period;
    if (worker.state() != WorkerState::busy) {
        return next;
    }
    const WorkerRecord& record = worker.record;
    if (settings_->memory.hard) {
        next = now + racing_period;
    }
    if (record.deadline != TimePoint{}) {
        next = std::min(next, record.deadline);
    }
    if (record.soft_deadline != TimePoint{} && !record.soft_limit_sent) {
        next = std::min(next, record.soft_deadline);
    }
    // A job that grows fast is looked at again when a quarter of its way to the hard line is gone.
    if (settings_->memory.hard && record.growth_per_second > 0 &&
        record.memory.private_bytes < *settings_->memory.hard) {
        const double left =
            static_cast<double>(*settings_->memory.hard - record.memory.private_bytes) /
            record.growth_per_second;
        if (left < 0.4) {
            next = std::min(next, now + std::chrono::duration_cast<Duration>(
                                            std::chrono::duration<double>(left / 4)));
        }
    }
    return next;
}

void Roster::autoscale(std::size_t waiting, TimePoint now) {
    if (wanted_ < settings_->min_workers || wanted_ > settings_->max_workers) {
        return;  // the operator has set a size of its own
    }
    if (waiting > 0 && wanted_ < settings_->max_workers && !breaker_.tripped()) {
        const bool starting = std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) {
            return slot.current != nullptr && (slot.current->state() == WorkerState::spawning ||
                                               slot.current->state() == WorkerState::starting);
        });
        if (!starting && !any_available() && (!spares_.empty() || has_room_for_one_more())) {
            ++wanted_;
            context_.logger.info("pool.scaled", {{"pool", settings_->name},
                                                 {"workers", wanted_},
                                                 {"reason", "jobs wait"},
                                                 {"queued", waiting}});
        }
        return;
    }
    if (wanted_ > settings_->min_workers && wanted_ <= slots_.size()) {
        const Worker* last = slots_[wanted_ - 1].current;
        const Duration limit =
            settings_->recycle.idle ? Duration(*settings_->recycle.idle) : default_idle;
        if (last != nullptr && last->state() == WorkerState::idle &&
            now - last->record.last_end >= limit) {
            --wanted_;
            ++recycles_[static_cast<std::size_t>(RecycleReason::idle)];
            context_.logger.info(
                "pool.scaled",
                {{"pool", settings_->name}, {"workers", wanted_}, {"reason", "idle"}});
        }
    }
}

}  // namespace supervise
