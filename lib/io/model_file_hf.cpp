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
    ModelConfig config = hf_config(folder);
    TokenizerData tokenizer = hf_tokenizer(folder, config);
    return std::unique_ptr<ModelFile>(new ModelFile(path, Format::safetensors,
                                                    SafetensorsFile::open(weights),
                                                    std::move(config), std::move(tokenizer)));
}

}  // namespace longhaul::io
