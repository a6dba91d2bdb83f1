// Boost.JSON and Boost.Beast compiled once for the whole library, so that no compiled Boost library
// is needed. The one place to change where a system's Boost::json is to be linked instead.
#include <boost/beast/src.hpp>
#include <boost/json/src.hpp>
