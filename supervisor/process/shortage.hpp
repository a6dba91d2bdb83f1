#pragma once

#include <string>
#include <string_view>

#include "supervise/error.hpp"

namespace supervise {

/// Of a process that could not be started: which limit was reached and what to do, if the machine
/// was short of processes, memory or descriptors, so that the same may work a little later. Empty
/// for any other error, which stays until somebody has mended something.
std::string shortage_of(const Error& error);

/// The number of such an error by its name ("EAGAIN"); 0 for all others.
int shortage_number(std::string_view name);

}  // namespace supervise
