#include "job_queue.hpp"

namespace supervise {

void JobQueue::push(Job& job) {
    Lane& lane = lanes_[job.priority];
    job.previous = lane.last;
    job.next = nullptr;
    (lane.last != nullptr ? lane.last->next : lane.first) = &job;
    lane.last = &job;
    ++size_;
}

void JobQueue::push_front(Job& job) {
    Lane& lane = lanes_[job.priority];
    job.next = lane.first;
    job.previous = nullptr;
    (lane.first != nullptr ? lane.first->previous : lane.last) = &job;
    lane.first = &job;
    ++size_;
}

void JobQueue::remove(Job& job) {
    Lane& lane = lanes_[job.priority];
    (job.previous != nullptr ? job.previous->next : lane.first) = job.next;
    (job.next != nullptr ? job.next->previous : lane.last) = job.previous;
    job.next = nullptr;
    job.previous = nullptr;
    --size_;
}

Job* JobQueue::front() const {
    for (auto lane = lanes_.rbegin(); lane != lanes_.rend(); ++lane) {
        if (lane->first != nullptr) {
            return lane->first;
        }
    }
    return nullptr;
}

Job* JobQueue::pop() {
    Job* const job = front();
    if (job != nullptr) {
        remove(*job);
    }
    return job;
}

}  // namespace supervise
