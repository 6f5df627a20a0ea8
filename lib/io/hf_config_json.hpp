#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::io {

/// One of the small JSON files of a Hugging Face folder: an object. An absent key and a null are the same; a value of
/// another kind than asked for is a ValidationError that names file and key.
class HfJson {
  public:
    /// Refuses files over 16 MiB, invalid JSON, and anything but an object.
    [[nodiscard]] static HfJson read(std::filesystem::path const& path);

    [[nodiscard]] std::string const& file() const { return file_; }
    [[nodiscard]] bool has(char const* key) const;
    [[nodiscard]] std::optional<std::int64_t> integer(char const* key) const;
    [[nodiscard]] std::int64_t required_integer(char const* key) const;
    [[nodiscard]] std::optional<double> real(char const* key) const;  ///< whole numbers too
    [[nodiscard]] std::optional<bool> boolean(char const* key) const;
    [[nodiscard]] std::optional<std::string> text(char const* key) const;
    [[nodiscard]] std::vector<std::string> texts(char const* key) const;
    /// A number or a list of numbers; nothing: empty.
    [[nodiscard]] std::vector<std::int64_t> integers(char const* key) const;
    [[nodiscard]] std::optional<HfJson> object(char const* key) const;
    /// tokenizer_config.json's "chat_template": a string, or a list of {"name", "template"} of which "default" counts.
    [[nodiscard]] std::string chat_template() const;

  private:
    HfJson(std::string file, std::shared_ptr<nlohmann::json const> json);
    [[nodiscard]] nlohmann::json const* find(char const* key) const;
    [[noreturn]] void wrong_kind(char const* key, char const* wanted) const;

    std::string file_;
    std::shared_ptr<nlohmann::json const> json_;
};

/// The bytes of a file of at most 16 MiB.
[[nodiscard]] std::string read_small_file(std::filesystem::path const& path);

}  // namespace longhaul::io
