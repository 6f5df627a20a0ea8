#include "io/folder_changes.hpp"

#include "io/output_dir_files.hpp"

#include <system_error>

namespace longhaul::io {

void FolderChanges::write(std::filesystem::path const& path, std::string_view content) {
    write_file_atomically(path, content);
}

int FolderChanges::remove(std::filesystem::path const& path) {
    std::error_code error;
    std::filesystem::remove(path, error);
    return error.value();
}

void FolderChanges::sync(std::filesystem::path const& folder) { sync_folder(folder); }

FolderChanges& FolderChanges::real() {
    static FolderChanges changes;
    return changes;
}

}  // namespace longhaul::io
