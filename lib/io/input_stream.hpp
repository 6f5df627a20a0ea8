#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct z_stream_s;

namespace longhaul::io {

/// The bytes of an open file as they come, plain or gzip (told apart by the first two bytes). Unlike zlib's own files it gives
/// what is there instead of waiting until a buffer is full: a line from a pipe can be taken when it arrives.
class InputStream {
  public:
    /// Takes over the descriptor.
    explicit InputStream(int descriptor);
    InputStream(InputStream const&) = delete;
    InputStream& operator=(InputStream const&) = delete;
    ~InputStream();

    /// Writes at least one byte and at most out.size() (> 0) into `out` and returns how many; 0 at the end and when reading
    /// fails: then failure() says why. Waits only while there is nothing.
    [[nodiscard]] std::size_t read(std::span<char> out);

    /// From any thread: a read that waits for a pipe, and all later ones, find the end.
    void cancel() { cancelled_ = true; }

    [[nodiscard]] std::string const& failure() const { return failure_; }
    /// Bytes of the file (before unpacking) that have been given out.
    [[nodiscard]] std::int64_t bytes_read() const;

  private:
    struct EndInflate {
        void operator()(z_stream_s* stream) const;
    };

    void look_at_start();
    std::size_t read_packed(std::span<char> out);
    [[nodiscard]] bool begin_member();
    [[nodiscard]] bool refill();
    std::size_t read_file(std::span<char> out);

    int descriptor_;
    std::atomic<bool> cancelled_ = false;
    bool started_ = false;
    bool in_member_ = false;
    std::vector<char> input_;  // [begin_, end_) has not been taken
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::int64_t file_bytes_ = 0;                      // read from the file
    std::unique_ptr<z_stream_s, EndInflate> inflate_;  // for gzip
    std::string failure_;
};

}  // namespace longhaul::io
