// libFuzzer: any bytes are refused, or encode again to themselves. See README.md beside it.
#include <cstdlib>

#include "tests/fuzz/check_frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace supervise::test;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (check_frame(bytes) == Checked::differs) {
        std::abort();
    }
    return 0;
}
