#include "supervisor/process/shortage.hpp"

#include <cerrno>

#include "tests/support/catch.hpp"

using namespace supervise;
using supervise::test::ContainsSubstring;

TEST_CASE("a shortage of the machine says which limit it may be, and nothing else is one",
          "[launcher]") {
    CHECK_THAT(shortage_of(errno_error("clone3", {}, EAGAIN)), ContainsSubstring("pids.max"));
    CHECK_THAT(shortage_of(errno_error("make a pipe", {}, EMFILE)), ContainsSubstring("ulimit -n"));
    for (const int number : {0, EPERM, ENOENT, ENOSYS, EBUSY}) {
        CHECK(shortage_of(errno_error("clone3", {}, number)).empty());
    }
    CHECK(shortage_number("EAGAIN") == EAGAIN);
    CHECK(shortage_number("ENOMEM") == ENOMEM);
    CHECK(shortage_number("EPERM") == 0);
    CHECK(shortage_number("") == 0);
}
