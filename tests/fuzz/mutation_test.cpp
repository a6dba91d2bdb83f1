#include <algorithm>
#include <random>
#include <vector>

#include "ipc/message.hpp"
#include "tests/fuzz/check_frame.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/ipc/vectors.hpp"

using namespace supervise::ipc;
using namespace supervise::test;

namespace {

constexpr int mutations = 200'000;

/// Damages frames in the ways that codecs fall over: bits, bytes with a meaning, cut and repeated
/// parts, lengths. The same seed gives the same frames on every system.
class Mutator {
  public:
    std::size_t below(std::size_t limit) { return random_() % limit; }

    void mutate(std::vector<char>& frame, const std::string& other) {
        for (std::size_t times = 1 + below(3); times > 0; --times) {
            once(frame, other);
        }
        // Mostly with a size that is right, or nothing but the size would ever be tried.
        if (frame.size() >= 4 && below(8) != 0) {
            frame[2] = static_cast<char>(frame.size() & 0xff);
            frame[3] = static_cast<char>((frame.size() >> 8) & 0xff);
        }
    }

  private:
    void once(std::vector<char>& frame, const std::string& other) {
        static constexpr unsigned char telling[] = {0,    1,    2,    3,    4,    9,    10,
                                                    100,  101,  0x7f, 0x80, 0xbf, 0xc0, 0xc2,
                                                    0xe0, 0xed, 0xf0, 0xf4, 0xfe, 0xff};
        if (frame.empty()) {
            frame.push_back(static_cast<char>(below(256)));
            return;
        }
        const std::size_t at = below(frame.size());
        const auto spot = frame.begin() + static_cast<std::ptrdiff_t>(at);
        switch (below(7)) {
            case 0:
                frame[at] = static_cast<char>(frame[at] ^ (1 << below(8)));
                break;
            case 1:
                frame[at] = static_cast<char>(telling[below(std::size(telling))]);
                break;
            case 2:
                frame[at] = static_cast<char>(frame[at] + (below(2) == 0 ? 1 : -1));
                break;
            case 3:
                frame.resize(at);
                break;
            case 4:
                frame.insert(spot, static_cast<char>(below(256)));
                break;
            case 5: {
                const std::vector<char> tail(spot, frame.end());
                frame.insert(frame.end(), tail.begin(), tail.end());
                break;
            }
            default: {  // the rest of another frame
                frame.resize(at);
                frame.insert(
                    frame.end(),
                    other.begin() + static_cast<std::ptrdiff_t>(std::min(at, other.size())),
                    other.end());
            }
        }
    }

    std::mt19937_64 random_{20240229};
};

}  // namespace

TEST_CASE("a damaged frame is refused, or is another message's only encoding", "[message][fuzz]") {
    const std::vector<FrameVector>& vectors = frame_vectors();
    Mutator mutator;
    int valid = 0;
    std::string failed;
    for (int i = 0; i < mutations && failed.empty(); ++i) {
        const FrameVector& seed = vectors[mutator.below(vectors.size())];
        const FrameVector& other = vectors[mutator.below(vectors.size())];
        std::vector<char> frame(seed.frame.begin(), seed.frame.end());
        mutator.mutate(frame, other.frame);
        frame.shrink_to_fit();  // so that the sanitizer sees a read beyond the end
        switch (check_frame({frame.data(), frame.size()})) {
            case Checked::refused:
                break;
            case Checked::same:
                ++valid;
                break;
            case Checked::differs:
                failed = to_hex({frame.data(), frame.size()});
        }
    }
    INFO("not encoded to the bytes that it was decoded from: " << failed);
    CHECK(failed.empty());
    // Some must get through, or the mutations are too crude to try the bodies.
    CHECK(valid > mutations / 20);
    CHECK(valid < mutations * 3 / 4);
}
