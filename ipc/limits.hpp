#pragma once

#include <cstddef>
#include <cstdint>

namespace supervise::ipc {

inline constexpr std::uint16_t protocol_version = 1;
inline constexpr std::size_t max_frame = 1024;  ///< bytes, header included
inline constexpr std::size_t header_size = 8;
inline constexpr std::size_t max_report = 1000;    ///< bytes of an encoded Report
inline constexpr std::size_t max_args = 960;       ///< bytes of one job's encoded arguments
inline constexpr std::size_t max_arg_count = 100;  ///< IDs of one job
inline constexpr std::size_t max_descriptors = 8;  ///< of one record
inline constexpr std::size_t max_joins = 2;        ///< cgroups that a forked worker joins itself
inline constexpr std::size_t max_text = 255;       ///< bytes of a task name or a text ID
/// Bytes of a job's task (its length byte included) and arguments together: what a JOB has room for
/// beside its other fields, which are larger than a SUBMIT's.
inline constexpr std::size_t max_call = max_frame - header_size - 26;

}  // namespace supervise::ipc
