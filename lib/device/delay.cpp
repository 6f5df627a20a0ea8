#include "device/delay.hpp"

#include "base/error.hpp"
#include "device/native.hpp"

#include <chrono>
#include <thread>

namespace longhaul::device {

void delay(double seconds, StreamView stream) {
    LH_EXPECT(seconds >= 0.0);
    if (seconds == 0.0) {
        return;
    }
    if (stream.native != nullptr) {
        native::delay(seconds, stream);
        return;
    }
    // A sleep ends some 60 us late: the last millisecond is waited awake.
    constexpr double kAwake = 1e-3;
    auto const end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    if (seconds > kAwake) {
        std::this_thread::sleep_for(std::chrono::duration<double>(seconds - kAwake));
    }
    while (std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
    }
}

}  // namespace longhaul::device
