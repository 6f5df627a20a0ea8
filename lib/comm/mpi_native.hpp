#pragma once

// Stays inside lib/comm: the only header that shows MPI.
#include <mpi.h>

#include <cstdint>

namespace longhaul::comm::detail {

/// Throws MpiError with MPI's text for `code`, the expression, its place, this rank and the host.
[[noreturn]] void throw_mpi_error(int code, char const* expression, char const* file, int line);

/// A message of any number of bytes as count x type: counts in MPI 3 are int, so a long one is a derived type.
class ByteLayout {
  public:
    static constexpr std::int64_t kLargestPlain = std::int64_t{1} << 30;

    /// Messages above `largest_plain` bytes get a derived type made of blocks of that size (smaller in tests).
    explicit ByteLayout(std::int64_t bytes, std::int64_t largest_plain = kLargestPlain);
    ByteLayout(ByteLayout const&) = delete;
    ByteLayout& operator=(ByteLayout const&) = delete;
    ~ByteLayout();

    [[nodiscard]] int count() const { return count_; }
    [[nodiscard]] MPI_Datatype type() const { return type_; }

  private:
    int count_ = 0;
    MPI_Datatype type_ = MPI_BYTE;
};

/// Bytes that a completed receive or a probe found.
[[nodiscard]] std::int64_t received_bytes(MPI_Status const& status);

/// Name of this host.
[[nodiscard]] char const* host_name();

}  // namespace longhaul::comm::detail

/// Every MPI call goes through this.
#define LH_MPI_CHECK(call)                                                                     \
    do {                                                                                       \
        if (int const lh_mpi_code = (call); lh_mpi_code != MPI_SUCCESS) {                      \
            ::longhaul::comm::detail::throw_mpi_error(lh_mpi_code, #call, __FILE__, __LINE__); \
        }                                                                                      \
    } while (false)
