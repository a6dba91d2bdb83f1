#pragma once

#include <cstddef>

#include "job.hpp"

namespace supervise {

/// Jobs in an order, linked through one pair of their links. Owns none of them, allocates nothing.
template <JobLinks Job::*links>
class JobList {
  public:
    void push_back(Job& job) { insert(job, last_, nullptr); }
    void push_front(Job& job) { insert(job, nullptr, first_); }
    void remove(Job& job) {  ///< must be in the list
        JobLinks& own = job.*links;
        (own.previous != nullptr ? (own.previous->*links).next : first_) = own.next;
        (own.next != nullptr ? (own.next->*links).previous : last_) = own.previous;
        own = {};
        --size_;
    }

    Job* front() const { return first_; }  ///< null when empty
    std::size_t size() const { return size_; }

  private:
    void insert(Job& job, Job* previous, Job* next) {
        job.*links = {next, previous};
        (previous != nullptr ? (previous->*links).next : first_) = &job;
        (next != nullptr ? (next->*links).previous : last_) = &job;
        ++size_;
    }

    Job* first_ = nullptr;
    Job* last_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace supervise
