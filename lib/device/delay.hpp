#pragma once

#include "base/stream.hpp"

namespace longhaul::device {

/// Later work of `stream` begins `seconds` later, as if something took this time there; may be recorded into a graph. Without a
/// stream the calling thread is what waits. For modelled transfers (comm/modelled_communicator.hpp).
void delay(double seconds, StreamView stream);

}  // namespace longhaul::device
