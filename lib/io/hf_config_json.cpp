#include "io/hf_config_json.hpp"

#include "base/error.hpp"
#include "io/mapped_file.hpp"
#include "io/tensor.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace longhaul::io {
namespace {

constexpr std::int64_t kLargestFile = std::int64_t{16} << 20;

// A whole number that int64 holds; nlohmann keeps larger ones as unsigned.
std::optional<std::int64_t> whole(nlohmann::json const& value) {
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && !std::in_range<std::int64_t>(value.get<std::uint64_t>()))) {
        return std::nullopt;
    }
    return value.get<std::int64_t>();
}

}  // namespace

std::string read_small_file(std::filesystem::path const& path) {
    MappedFile const file(path);
    LH_VALIDATE(file.size() <= kLargestFile,
                "{}: the file has {} bytes, more than the {} allowed; it is of another kind",
                path.string(), file.size(), kLargestFile);
    return {reinterpret_cast<char const*>(file.bytes().data()), file.bytes().size()};
}

HfJson::HfJson(std::string file, std::shared_ptr<nlohmann::json const> json)
    : file_(std::move(file)), json_(std::move(json)) {}

HfJson HfJson::read(std::filesystem::path const& path) {
    auto json = std::make_shared<nlohmann::json const>(
        nlohmann::json::parse(read_small_file(path), nullptr, false));
    LH_VALIDATE(json->is_object(),
                "{}: the file is no JSON object; it is damaged or incomplete, get it again",
                path.string());
    return {path.string(), std::move(json)};
}

nlohmann::json const* HfJson::find(char const* key) const {
    auto const found = json_->find(key);
    return found == json_->end() || found->is_null() ? nullptr : &*found;
}

void HfJson::wrong_kind(char const* key, char const* wanted) const {
    throw ValidationError(fmt::format(
        "{}: the value of \"{}\" must be {}; the file is damaged or of another kind of model",
        file_, key, wanted));
}

bool HfJson::has(char const* key) const { return find(key) != nullptr; }

std::optional<std::int64_t> HfJson::integer(char const* key) const {
    nlohmann::json const* const value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    std::optional<std::int64_t> const number = whole(*value);
    if (!number) {
        wrong_kind(key, "a whole number");
    }
    return number;
}

std::int64_t HfJson::required_integer(char const* key) const {
    std::optional<std::int64_t> const value = integer(key);
    LH_VALIDATE(value,
                "{}: the key \"{}\" is missing; the file is incomplete or of another kind of model",
                file_, key);
    return *value;
}

std::optional<double> HfJson::real(char const* key) const {
    nlohmann::json const* const value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->is_number()) {
        wrong_kind(key, "a number");
    }
    return value->get<double>();
}

std::optional<bool> HfJson::boolean(char const* key) const {
    nlohmann::json const* const value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->is_boolean()) {
        wrong_kind(key, "true or false");
    }
    return value->get<bool>();
}

std::optional<std::string> HfJson::text(char const* key) const {
    nlohmann::json const* const value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->is_string()) {
        wrong_kind(key, "a string");
    }
    return value->get<std::string>();
}

std::vector<std::string> HfJson::texts(char const* key) const {
    std::vector<std::string> result;
    nlohmann::json const* const value = find(key);
    if (value == nullptr) {
        return result;
    }
    if (!value->is_array()) {
        wrong_kind(key, "a list of strings");
    }
    for (nlohmann::json const& entry : *value) {
        if (!entry.is_string()) {
            wrong_kind(key, "a list of strings");
        }
        result.push_back(entry.get<std::string>());
    }
    return result;
}

std::vector<std::int64_t> HfJson::integers(char const* key) const {
    std::vector<std::int64_t> result;
    nlohmann::json const* const value = find(key);
    if (value == nullptr) {
        return result;
    }
    auto const add = [&](nlohmann::json const& entry) {
        std::optional<std::int64_t> const number = whole(entry);
        if (!number) {
            wrong_kind(key, "a whole number or a list of them");
        }
        result.push_back(*number);
    };
    if (value->is_array()) {
        for (nlohmann::json const& entry : *value) {
            add(entry);
        }
    } else {
        add(*value);
    }
    return result;
}

std::optional<HfJson> HfJson::object(char const* key) const {
    nlohmann::json const* const value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->is_object()) {
        wrong_kind(key, "an object");
    }
    return HfJson(file_, std::shared_ptr<nlohmann::json const>(json_, value));
}

std::string HfJson::chat_template() const {
    nlohmann::json const* const value = find("chat_template");
    if (value == nullptr || value->is_string()) {
        return text("chat_template").value_or("");
    }
    if (value->is_array()) {
        for (nlohmann::json const& entry : *value) {
            bool const sound = entry.is_object() && entry.contains("name") &&
                               entry.contains("template") && entry.at("template").is_string();
            if (sound && entry.at("name") == "default") {
                return entry.at("template").get<std::string>();
            }
        }
    }
    wrong_kind("chat_template", "a string or a list with a template named \"default\"");
}

}  // namespace longhaul::io
