#include "comm/mpi_runtime.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "comm/cpu_quota.hpp"
#include "comm/mpi_communicator.hpp"

#include <fmt/format.h>

#include <sched.h>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>

namespace longhaul::comm {
namespace {

constexpr int kExitRankFailed = 3;

std::string current_exception_text() {
    auto const error = std::current_exception();
    if (!error) {
        return "terminated without an exception";
    }
    try {
        std::rethrow_exception(error);
    } catch (std::exception const& known) {
        return known.what();
    } catch (...) {
        return "an exception of unknown type";
    }
}

// Called for an exception that nobody catches, before the stack unwinds: collective destructors must not run now.
[[noreturn]] void end_job() {
    log::error("failed on {}: {}", detail::host_name(), current_exception_text());
    MpiRuntime::abort(kExitRankFailed);
}

MPI_Comm node_communicator() {
    MPI_Comm node = MPI_COMM_NULL;
    LH_MPI_CHECK(
        MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
    return node;
}

// Under mpirun each rank may be bound to a core of its own: the node's share is the union of all masks, within the quota.
int count_cores(MPI_Comm node) {
    std::array<unsigned char, sizeof(cpu_set_t)> mask{};
    auto* const set = reinterpret_cast<cpu_set_t*>(mask.data());
    if (::sched_getaffinity(0, sizeof(cpu_set_t), set) != 0) {
        CPU_SET(0, set);
    }
    LH_MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, mask.data(), static_cast<int>(mask.size()),
                               MPI_UNSIGNED_CHAR, MPI_BOR, node));
    int cores = CPU_COUNT(set);
    cores = std::min(cores, cpu_quota().value_or(cores));
    LH_MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, &cores, 1, MPI_INT, MPI_MIN, node));
    return cores;
}

NodeInfo describe_node() {
    NodeInfo info;
    info.host = detail::host_name();
    MPI_Comm node = node_communicator();
    LH_MPI_CHECK(MPI_Comm_rank(node, &info.local_rank));
    LH_MPI_CHECK(MPI_Comm_size(node, &info.local_size));
    info.cores = count_cores(node);
    LH_MPI_CHECK(MPI_Comm_free(&node));
    return info;
}

void check_library(int thread_level) {
    LH_VALIDATE(thread_level >= MPI_THREAD_MULTIPLE,
                "this MPI library offers thread level {} and longhaul needs MPI_THREAD_MULTIPLE "
                "({}), because world "
                "rank 0 serves jobs from a thread of its own; use an MPI built with thread "
                "support, for example "
                "Debian's libopenmpi-dev",
                thread_level, static_cast<int>(MPI_THREAD_MULTIPLE));
    int* largest_tag = nullptr;
    int found = 0;
    LH_MPI_CHECK(
        MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, static_cast<void*>(&largest_tag), &found));
    LH_VALIDATE(found != 0 && *largest_tag >= 2 * kTagLimit,
                "this MPI transport has tags up to {} only and longhaul needs {}; choose another "
                "one, for example "
                "with mpirun --mca pml ob1",
                found != 0 ? *largest_tag : 0, 2 * kTagLimit);
}

}  // namespace

MpiRuntime::MpiRuntime(MpiOptions const& options) {
    int thread_level = MPI_THREAD_SINGLE;
    LH_MPI_CHECK(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &thread_level));
    LH_MPI_CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    check_library(thread_level);
    node_ = describe_node();
    MpiSettings const settings{.backoff = backoff_policy(node_.local_size, node_.cores),
                               .largest_plain_message = options.largest_plain_message};
    world_ = std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, MpiCommunicator::Ownership::borrowed,
                                               settings);
    log::set_rank(world_->rank());
    std::set_terminate(end_job);
}

MpiRuntime::~MpiRuntime() = default;

void MpiRuntime::finish() {
    world_->barrier();  // sleeps, which MPI_Finalize does not
    world_->close();
    LH_MPI_CHECK(MPI_Finalize());
}

std::string MpiRuntime::library_version() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int size = 0;
    LH_MPI_CHECK(MPI_Get_library_version(text.data(), &size));
    std::string version(text.data(), static_cast<std::size_t>(size));
    return version.substr(0, version.find_first_of(",\n"));
}

void MpiRuntime::abort(int code) {
    MPI_Abort(MPI_COMM_WORLD, code);
    std::_Exit(code);
}

}  // namespace longhaul::comm
