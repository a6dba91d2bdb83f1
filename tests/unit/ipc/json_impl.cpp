// Boost.JSON compiled once for the tests, so that they need no library of it.
#include <boost/json/src.hpp>
