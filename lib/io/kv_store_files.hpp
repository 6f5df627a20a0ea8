#pragma once

#include "io/output_dir_files.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <variant>

/// How a KV store lies in its folder:
///   format                 which version of this layout; written last when a store is made
///   lock                   shared by those who add, exclusive for the one who prunes
///   segments/<32 hex>.h5   named by their content, so equal names mean equal content
///   entries/<32 hex>.json  kv_store_entry.hpp, written after the segments it names
/// How files get there: kv_store_publish.hpp.
namespace longhaul::io {

[[nodiscard]] std::filesystem::path kv_store_segments(std::filesystem::path const& store);
[[nodiscard]] std::filesystem::path kv_store_entries(std::filesystem::path const& store);
[[nodiscard]] std::filesystem::path kv_store_entry_path(std::filesystem::path const& store,
                                                        std::string_view id);

/// Makes a store where there is none. Several processes may do so at once.
/// Errors      ValidationError: it cannot be made, written to or locked, is of another version, or the folder holds
///             something else
void make_kv_store(std::filesystem::path const& store);

/// Errors      ValidationError: no store, or of another version
void check_kv_store(std::filesystem::path const& store);

/// The lock of a store, until the object goes.
class KvStoreLock {
  public:
    enum class Kind { shared, exclusive };

    /// Waits for it.
    /// Errors      ValidationError when others keep it for longer than `patience_s`, or there are no locks
    KvStoreLock(std::filesystem::path const& store, Kind kind, double patience_s);

    /// Gives a shared lock up and says whether the exclusive one was free.
    [[nodiscard]] bool become_exclusive();

  private:
    FileDescriptor file_;
};

}  // namespace longhaul::io
