#include "io/document.hpp"

#include "base/error.hpp"
#include "io/job_utf8.hpp"
#include "io/video_tokens_file.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <system_error>

namespace longhaul::io {
namespace {

JobError unreadable(std::filesystem::path const& path, std::string const& reason) {
    return {
        "unreadable",
        fmt::format(
            "cannot read the document {}: {}; check the path, which counts from the folder of the "
            "queue file",
            replace_invalid_utf8(path.string()), reason)};
}

std::string reason_of(int error) { return std::generic_category().message(error); }

JobError too_long(std::filesystem::path const& path, std::int64_t max_bytes) {
    return {"too_long", fmt::format("the document {} has more than {} bytes; split it",
                                    path.string(), max_bytes)};
}

/// An open document, or why it is none.
class DocumentFile {
  public:
    // O_NONBLOCK: opening a pipe without a writer must not hang the run.
    explicit DocumentFile(std::filesystem::path const& path)
        : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
        struct stat status {};
        if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) {
            problem_ = reason_of(errno);
        } else if (S_ISDIR(status.st_mode)) {
            problem_ = "it is a folder";
        } else if (!S_ISREG(status.st_mode)) {
            problem_ = "it is not a regular file";
        }
        size_ = status.st_size;
    }
    DocumentFile(DocumentFile const&) = delete;
    DocumentFile& operator=(DocumentFile const&) = delete;
    ~DocumentFile() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    [[nodiscard]] std::string const& problem() const { return problem_; }
    [[nodiscard]] std::int64_t size() const { return size_; }

    /// Appends what is there, at most `limit` bytes; false when the disk fails.
    bool read_into(std::string& text, std::int64_t limit) {
        constexpr std::int64_t kPiece = 1 << 20;
        text.reserve(static_cast<std::size_t>(std::min(size_, limit)) + 1);
        while (static_cast<std::int64_t>(text.size()) < limit) {
            std::size_t const have = text.size();
            // The size is a hint only: files under /proc say 0, others grow while we read.
            std::int64_t const room = std::max(kPiece, size_ - static_cast<std::int64_t>(have) + 1);
            text.resize(have + static_cast<std::size_t>(
                                   std::min(room, limit - static_cast<std::int64_t>(have))));
            auto const got = ::read(descriptor_, text.data() + have, text.size() - have);
            text.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
            if (got == 0) return true;
            if (got < 0 && errno != EINTR) {
                problem_ = reason_of(errno);
                return false;
            }
        }
        return true;
    }

  private:
    int descriptor_;
    std::int64_t size_ = 0;
    std::string problem_;
};

std::optional<JobError> check_text(std::string const& text, std::string const& name) {
    if (text.empty()) return JobError{"empty", fmt::format("the document {} is empty", name)};
    if (auto const bad = first_invalid_utf8(text)) {
        return JobError{
            "invalid_utf8",
            fmt::format("the document {} is not UTF-8 at byte {}; convert it (iconv -t UTF-8)",
                        name, *bad)};
    }
    return std::nullopt;
}

std::variant<std::int64_t, JobError> video_tokens_bytes(std::filesystem::path const& path) {
    try {
        return VideoTokensFile(path).info().stamp.bytes;
    } catch (VideoTokensError const& error) {
        return error.error;
    }
}

}  // namespace

std::variant<std::string, JobError> load_document(Job const& job, std::int64_t max_bytes) {
    LH_EXPECT(job.kind != JobKind::video_tokens);
    if (job.token_ids) return std::string();
    std::string text;
    std::string name = "in the queue";
    if (job.path) {
        name = replace_invalid_utf8(job.path->string());
        DocumentFile file(*job.path);
        if (!file.problem().empty() || !file.read_into(text, max_bytes + 1))
            return unreadable(*job.path, file.problem());
        if (static_cast<std::int64_t>(text.size()) > max_bytes)
            return too_long(*job.path, max_bytes);
    } else if (job.text) {
        text = *job.text;
    }
    if (auto error = check_text(text, name)) return *std::move(error);
    return text;
}

std::variant<std::int64_t, JobError> document_bytes(Job const& job, std::int64_t max_bytes) {
    if (job.token_ids) return static_cast<std::int64_t>(job.token_ids->size() * sizeof(TokenId));
    if (job.text) return static_cast<std::int64_t>(job.text->size());
    if (job.kind == JobKind::video_tokens) return video_tokens_bytes(*job.path);
    DocumentFile const file(*job.path);
    if (!file.problem().empty()) return unreadable(*job.path, file.problem());
    if (file.size() == 0)
        return JobError{"empty", fmt::format("the document {} is empty", job.path->string())};
    if (file.size() > max_bytes) return too_long(*job.path, max_bytes);
    return file.size();
}

}  // namespace longhaul::io
