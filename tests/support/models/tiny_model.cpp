#include "support/models/tiny_model.hpp"

#include "base/error.hpp"
#include "io/model_file_names.hpp"
#include "support/models/encode_tensor.hpp"
#include "support/models/tiny_tokenizer.hpp"

#include <cmath>
#include <limits>

namespace longhaul::test {
namespace {

std::uint64_t mix(std::uint64_t state) {  // the finaliser of SplitMix64
    state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9U;
    state = (state ^ (state >> 27)) * 0x94d049bb133111ebU;
    return state ^ (state >> 31);
}

// Nearly normal numbers of mean 0 and deviation 1: sums of four uniform ones, exact in any floating-point unit.
class Noise {
  public:
    Noise(std::uint64_t seed, std::string const& name) : state_(mix(seed + 0x9e3779b97f4a7c15U)) {
        for (char const c : name) {
            state_ = mix(state_ + 0x9e3779b97f4a7c15U + static_cast<unsigned char>(c));
        }
    }
    double next() {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t const bits = mix(state_);
        std::int64_t sum = -131'070;  // the mean of the four
        for (int part = 0; part < 4; ++part) {
            sum += static_cast<std::int64_t>((bits >> (16 * part)) & 0xffffU);
        }
        return static_cast<double>(sum) / 37'836.0;  // deviation of the sum: 65536 * sqrt(4 / 12)
    }

  private:
    std::uint64_t state_;
};

std::vector<float> noise(TinyModelSpec const& spec, std::string const& name, io::TensorShape shape,
                         double deviation) {
    Noise source(spec.seed, name);
    std::vector<float> values(static_cast<std::size_t>(shape.rows * shape.cols));
    for (float& value : values) {
        value = static_cast<float>(deviation * source.next());
    }
    return rounded_to_type(stored_type(spec, shape.rows, shape.cols), values);
}

// About 1, in steps of 1/64, which every type of number stores exactly.
std::vector<float> norm(TinyModelSpec const& spec, std::string const& name) {
    Noise source(spec.seed, name);
    std::vector<float> values(static_cast<std::size_t>(spec.hidden_dim));
    for (float& value : values) {
        value = static_cast<float>(1.0 + std::nearbyint(8.0 * source.next()) / 64.0);
    }
    return values;
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

ModelConfig tiny_config(TinyModelSpec const& spec) {
    ModelConfig config;
    config.architecture = "llama";
    config.name = "longhaul-tiny";
    config.num_layers = spec.num_layers;
    config.hidden_dim = spec.hidden_dim;
    config.num_heads = spec.num_heads;
    config.num_kv_heads = spec.num_kv_heads;
    config.head_dim = spec.head_dim;
    config.ffn_dim = spec.ffn_dim;
    config.vocab_size = spec.vocab_size;
    config.trained_context = spec.trained_context;
    config.rms_epsilon = static_cast<double>(1e-5F);  // GGUF stores a float32
    config.rope_theta = spec.rope_theta;
    config.tied_embeddings = spec.tied;
    config.bos_token = kImStart;
    config.eos_tokens = {spec.eos_token >= 0 ? spec.eos_token : kImEnd};
    return config;
}

io::TensorType stored_type(TinyModelSpec const& spec, std::int64_t rows, std::int64_t cols) {
    return rows > 1 && cols % io::block_shape(spec.type).elements == 0 ? spec.type
                                                                       : io::TensorType::f32;
}

std::vector<float> tiny_weights(TinyModelSpec const& spec, io::LayerTensor tensor,
                                std::int64_t layer) {
    LH_EXPECT(layer >= 0 && layer < spec.num_layers);
    std::string const name = io::hf_name(tensor, layer);
    if (tensor == io::LayerTensor::attn_norm || tensor == io::LayerTensor::ffn_norm) {
        return norm(spec, name);
    }
    io::TensorShape const shape = io::expected_shape(tiny_config(spec), tensor);
    double gain = 1.0;
    if (tensor == io::LayerTensor::q || tensor == io::LayerTensor::k) {
        gain = 1.2;  // scores of attention get a deviation of about 1.4: neither flat nor one-sided
    } else if (tensor == io::LayerTensor::o || tensor == io::LayerTensor::down) {
        gain =
            2.0;  // the layers outweigh the embedding, or a tied model would repeat its last token
    }
    std::vector<float> values =
        noise(spec, name, shape, gain / std::sqrt(static_cast<double>(shape.cols)));
    if (tensor == io::LayerTensor::k && layer == spec.nan_key_layer) {
        values[values.size() / 2] = kNan;
    }
    return values;
}

std::vector<float> tiny_weights(TinyModelSpec const& spec, io::GlobalTensor tensor) {
    if (tensor == io::GlobalTensor::lm_head && spec.tied) {
        return tiny_weights(spec, io::GlobalTensor::token_embedding);
    }
    std::string const name = io::hf_name(tensor);
    if (tensor == io::GlobalTensor::output_norm) {
        std::vector<float> values = norm(spec, name);
        if (spec.nan_norm) {
            values.front() = kNan;
        }
        return values;
    }
    // Rows that make logits: 4 / sqrt(hidden_dim) gives them a deviation of 4. A table only looked up may be larger.
    bool const makes_logits = spec.tied || tensor == io::GlobalTensor::lm_head;
    double const deviation =
        makes_logits ? 4.0 / std::sqrt(static_cast<double>(spec.hidden_dim)) : 1.0;
    std::vector<float> values =
        noise(spec, name, io::expected_shape(tiny_config(spec), tensor), deviation);
    if (tensor == io::GlobalTensor::token_embedding && spec.nan_token >= 0) {
        LH_EXPECT(spec.nan_token < spec.vocab_size);
        values[static_cast<std::size_t>(spec.nan_token * spec.hidden_dim)] = kNan;
    }
    return values;
}

}  // namespace longhaul::test
