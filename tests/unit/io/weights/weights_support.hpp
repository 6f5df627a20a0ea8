#pragma once

#include "base/error.hpp"
#include "support/models/tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace longhaul::test {

/// A folder that goes away with the test.
class ScratchFolder {
  public:
    ScratchFolder() {
        std::string name = (root() / "longhaul-weights-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("cannot make " + name);
        }
        path_ = name;
    }
    ~ScratchFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchFolder(ScratchFolder const&) = delete;
    ScratchFolder& operator=(ScratchFolder const&) = delete;

    [[nodiscard]] std::filesystem::path operator/(std::string const& name) const {
        return path_ / name;
    }
    [[nodiscard]] std::filesystem::path put(std::string const& name,
                                            std::string const& bytes) const {
        write_file(path_ / name, bytes);
        return path_ / name;
    }

  private:
    // In memory where possible: thousands of small files on a slow disk are what the time would go to.
    static std::filesystem::path root() {
        std::filesystem::path const memory = "/dev/shm";
        return ::access(memory.c_str(), W_OK) == 0 ? memory
                                                   : std::filesystem::temp_directory_path();
    }

    std::filesystem::path path_;
};

/// The message of the ValidationError that `action` throws; "" when it throws none.
template <class Action>
std::string refusal(Action action) {
    try {
        action();
    } catch (ValidationError const& error) {
        return error.what();
    }
    return "";
}

}  // namespace longhaul::test
