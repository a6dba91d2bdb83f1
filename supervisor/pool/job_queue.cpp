#include "job_queue.hpp"

namespace supervise {

void JobQueue::push(Job& job) {
    lanes_[job.priority].push_back(job);
    ++size_;
}

void JobQueue::push_front(Job& job) {
    lanes_[job.priority].push_front(job);
    ++size_;
}

void JobQueue::remove(Job& job) {
    lanes_[job.priority].remove(job);
    --size_;
}

Job* JobQueue::front() const {
    for (auto lane = lanes_.rbegin(); lane != lanes_.rend(); ++lane) {
        if (lane->size() > 0) {
            return lane->front();
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
