#pragma once

#include <stdexcept>

namespace longhaul::device {

/// A call of the device's runtime failed: a kernel that faulted, a GPU that fell off the bus. The GPU of this process is
/// unusable from then on.
class DeviceError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The GPU has no room for an allocation. Nothing else is lost.
class OutOfDeviceMemory : public DeviceError {
  public:
    using DeviceError::DeviceError;
};

}  // namespace longhaul::device
