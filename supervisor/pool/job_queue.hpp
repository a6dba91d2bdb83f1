#pragma once

#include <array>
#include <cstddef>

#include "job_list.hpp"

namespace supervise {

/// Jobs that wait for a worker: first in, first out within a priority, higher priorities first.
/// Links jobs that the pool owns; allocates nothing. Its bound is kept by the pool (a retried job
/// must always fit).
class JobQueue {
  public:
    void push(Job& job);        ///< behind its equals
    void push_front(Job& job);  ///< before its equals: given back, not begun
    Job* pop();                 ///< null when empty
    void remove(Job& job);      ///< must be in the queue
    Job* front() const;

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

  private:
    using Lane = JobList<&Job::queue_links>;
    std::array<Lane, 10> lanes_;
    std::size_t size_ = 0;
};

}  // namespace supervise
