#include "comm/mpi_native.hpp"

#include "base/checked.hpp"
#include "comm/error.hpp"

#include <fmt/format.h>

#include <unistd.h>
#include <array>
#include <string>

namespace longhaul::comm::detail {

char const* host_name() {
    static std::string const name = [] {
        std::array<char, 256> buffer{};
        return ::gethostname(buffer.data(), buffer.size() - 1) == 0 ? std::string(buffer.data())
                                                                    : std::string("unknown host");
    }();
    return name.c_str();
}

void throw_mpi_error(int code, char const* expression, char const* file, int line) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(code, text.data(), &length);
    int rank = -1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    throw MpiError(fmt::format("{} ({} at {}:{}, rank {} on {})",
                               std::string_view(text.data(), static_cast<std::size_t>(length)),
                               expression, file, line, rank, host_name()));
}

ByteLayout::ByteLayout(std::int64_t bytes, std::int64_t largest_plain) {
    LH_EXPECT(bytes >= 0 && largest_plain > 0);
    if (bytes <= largest_plain) {
        count_ = checked_cast<int>(bytes);
        return;
    }
    std::int64_t const blocks = bytes / largest_plain;
    MPI_Datatype block = MPI_DATATYPE_NULL;
    LH_MPI_CHECK(MPI_Type_contiguous(checked_cast<int>(largest_plain), MPI_BYTE, &block));
    std::array<int, 2> const lengths{checked_cast<int>(blocks),
                                     checked_cast<int>(bytes % largest_plain)};
    std::array<MPI_Aint, 2> const offsets{0, checked_cast<MPI_Aint>(blocks * largest_plain)};
    std::array<MPI_Datatype, 2> const types{block, MPI_BYTE};
    LH_MPI_CHECK(MPI_Type_create_struct(2, lengths.data(), offsets.data(), types.data(), &type_));
    LH_MPI_CHECK(MPI_Type_free(&block));
    LH_MPI_CHECK(MPI_Type_commit(&type_));
    count_ = 1;
}

// Transfers that use the type keep it alive inside MPI.
ByteLayout::~ByteLayout() {
    if (type_ != MPI_BYTE) {
        MPI_Type_free(&type_);
    }
}

std::int64_t received_bytes(MPI_Status const& status) {
    MPI_Count bytes = 0;
    LH_MPI_CHECK(MPI_Get_elements_x(&status, MPI_BYTE, &bytes));
    LH_ASSERT(bytes != MPI_UNDEFINED);
    return bytes;
}

}  // namespace longhaul::comm::detail
