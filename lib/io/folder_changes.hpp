#pragma once

#include <filesystem>
#include <string_view>

namespace longhaul::io {

/// The ways in which a checkpoint folder changes, one file at a time. Tests replace it to stop between any two changes.
class FolderChanges {
  public:
    virtual ~FolderChanges() = default;

    /// write_file_atomically(). Errors: IoError
    virtual void write(std::filesystem::path const& path, std::string_view content);
    /// Removes a file or an empty folder. Returns the errno of a failure; that nothing is there is none.
    [[nodiscard]] virtual int remove(std::filesystem::path const& path);
    /// sync_folder(). Errors: IoError
    virtual void sync(std::filesystem::path const& folder);

    /// The one that changes files and nothing else.
    [[nodiscard]] static FolderChanges& real();
};

}  // namespace longhaul::io
