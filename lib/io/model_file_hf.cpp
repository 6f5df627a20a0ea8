#include "base/error.hpp"
#include "io/hf_config.hpp"
#include "io/mapped_file.hpp"
#include "io/model_file.hpp"
#include "io/safetensors_file.hpp"

#include <utility>

namespace longhaul::io {

std::unique_ptr<ModelFile> ModelFile::open_safetensors(std::filesystem::path const& path,
                                                       std::filesystem::path const& weights) {
    std::filesystem::path const folder = weights.parent_path();
    LH_VALIDATE(is_present(folder / "config.json"),
                "{}: there is no config.json beside the weights; give the folder of a Hugging Face "
                "model, or a .gguf file",
                path.string());
    LH_VALIDATE(
        is_present(weights) || !is_present(folder / "model.safetensors.index.json"),
        "{}: the weights are cut into several files (model.safetensors.index.json); longhaul reads "
        "a single "
        "model.safetensors: save the model again with a larger shard size, or convert it to GGUF",
        path.string());
    LH_VALIDATE(
        is_present(weights) || !std::filesystem::is_directory(path),
        "{}: there is a config.json, but no weights beside it; put model.safetensors there, "
        "or, for measurements, let them be made up with --random-weights SEED",
        path.string());
    ModelConfig config = hf_config(folder);
    TokenizerData tokenizer = hf_tokenizer(folder, config);
    return std::unique_ptr<ModelFile>(new ModelFile(path, Format::safetensors,
                                                    SafetensorsFile::open(weights),
                                                    std::move(config), std::move(tokenizer)));
}

std::unique_ptr<ModelFile> ModelFile::open_random(std::filesystem::path const& folder,
                                                  std::uint64_t seed) {
    LH_VALIDATE(is_present(folder / "config.json"),
                "{}: there is no config.json in it; random weights need a folder with one, such as "
                "those in inputs/geometries",
                folder.string());
    ModelConfig config = hf_config(folder);
    TokenizerData tokenizer = hf_tokenizer(folder, config);
    std::unique_ptr<ModelFile> file(
        new ModelFile(folder, Format::random, nullptr, std::move(config), std::move(tokenizer)));
    file->seed_ = seed;
    return file;
}

}  // namespace longhaul::io
