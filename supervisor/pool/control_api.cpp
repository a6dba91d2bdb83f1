#include "control_api.hpp"

#include <stdexcept>

namespace supervise {

void throw_exception_from_error(const ApiError& error, const boost::source_location& /*where*/) {
    throw std::runtime_error(error.code + ": " + error.message);
}

}  // namespace supervise
