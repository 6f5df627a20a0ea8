#include "model/weight_shard.hpp"

#include "kernels/norm.hpp"
#include "kernels/random_fill.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace longhaul::model {
namespace {

/// Reads slices of one model file into packed weights.
class ShardLoader {
  public:
    ShardLoader(io::ModelFile const& file, Partition const& partition, LoadOptions const& options,
                kernels::ExecContext const& exec)
        : file_(file),
          config_(file.config()),
          partition_(partition),
          options_(options),
          exec_(exec) {}

    WeightShard load() {
        WeightShard shard;
        shard.config = config_;
        shard.partition = partition_;
        shard.dtype = options_.dtype;
        for (std::int64_t layer = partition_.layers.begin; layer < partition_.layers.end; ++layer) {
            shard.layers.push_back(load_layer(layer));
        }
        if (partition_.first_stage) {
            shard.embedding = load_embedding();
        }
        if (partition_.last_stage) {
            std::vector<float> norm(static_cast<std::size_t>(config_.hidden_dim));
            file_.read(io::GlobalTensor::output_norm, {0, 1}, {0, config_.hidden_dim}, norm.data(),
                       config_.hidden_dim);
            shard.output_norm = bring(norm);
            shard.lm_head = load_lm_head();
        }
        return shard;
    }

  private:
    float* scratch(std::int64_t elements) {
        buffer_.resize(static_cast<std::size_t>(elements));
        return buffer_.data();
    }

    /// Random weights are made where they are used: a GPU has them in seconds.
    [[nodiscard]] bool made_in_place() const {
        return file_.is_random() && exec_.backend == kernels::Backend::cuda;
    }

    /// Some rows of a matrix of a layer.
    struct Part {
        io::LayerTensor tensor;
        Range rows;
    };

    /// Parts below one another, their columns `cols`.
    kernels::LinearWeight load(std::int64_t layer, std::initializer_list<Part> parts, Range cols) {
        std::int64_t rows = 0;
        for (Part const& part : parts) {
            rows += part.rows.size();
        }
        if (made_in_place()) {
            std::int64_t const row_bytes = cols.size() * dtype_bytes(options_.dtype);
            device::Buffer matrix(exec_.gpu, rows * row_bytes);
            std::byte* to = matrix.data();
            for (Part const& part : parts) {
                kernels::fill_random(exec_, file_.random_matrix(part.tensor, layer), part.rows,
                                     cols, to, options_.dtype);
                to += part.rows.size() * row_bytes;
            }
            return kernels::LinearWeight::adopt(exec_, std::move(matrix), rows, cols.size(),
                                                options_.dtype);
        }
        float* const matrix = scratch(rows * cols.size());
        float* to = matrix;
        for (Part const& part : parts) {
            if (!part.rows.empty() && !cols.empty()) {
                file_.read(part.tensor, layer, part.rows, cols, to, cols.size());
            }
            to += part.rows.size() * cols.size();
        }
        return kernels::LinearWeight::pack(exec_, matrix, rows, cols.size(), cols.size(),
                                           options_.dtype);
    }

    [[nodiscard]] device::Buffer bring(std::vector<float> const& values) const {
        return device::make_buffer<float>(exec_.gpu, values);
    }

    [[nodiscard]] device::Buffer load_norm(io::LayerTensor tensor, std::int64_t layer) const {
        std::vector<float> weight(static_cast<std::size_t>(config_.hidden_dim));
        file_.read(tensor, layer, {0, 1}, {0, config_.hidden_dim}, weight.data(),
                   config_.hidden_dim);
        return bring(weight);
    }

    LayerWeights load_layer(std::int64_t layer) {
        LayerWeights weights;
        weights.attn_norm = load_norm(io::LayerTensor::attn_norm, layer);
        weights.ffn_norm = load_norm(io::LayerTensor::ffn_norm, layer);
        weights.qkv = load_qkv(layer);
        for (std::size_t k = 0; k < partition_.ffn.size(); ++k) {
            bool const stored = options_.storage == WeightStorage::replicated ||
                                static_cast<std::int64_t>(k) == options_.kvp_index;
            weights.projection.push_back(
                stored ? load_columns(io::LayerTensor::o, layer, partition_.projection[k])
                       : kernels::LinearWeight{});
            weights.gate_up.push_back(stored ? load_gate_up(layer, partition_.ffn[k])
                                             : kernels::LinearWeight{});
            weights.down.push_back(
                stored ? load_columns(io::LayerTensor::down, layer, partition_.ffn[k])
                       : kernels::LinearWeight{});
        }
        return weights;
    }

    kernels::LinearWeight load_qkv(std::int64_t layer) {
        std::int64_t const dim = config_.head_dim;
        Range const q{partition_.heads.begin * dim, partition_.heads.end * dim};
        Range const kv{partition_.kv_heads.begin * dim, partition_.kv_heads.end * dim};
        return load(layer,
                    {{io::LayerTensor::q, q}, {io::LayerTensor::k, kv}, {io::LayerTensor::v, kv}},
                    {0, config_.hidden_dim});
    }

    kernels::LinearWeight load_columns(io::LayerTensor tensor, std::int64_t layer, Range columns) {
        return load(layer, {{tensor, {0, config_.hidden_dim}}}, columns);
    }

    kernels::LinearWeight load_gate_up(std::int64_t layer, Range ffn) {
        return load(layer, {{io::LayerTensor::gate, ffn}, {io::LayerTensor::up, ffn}},
                    {0, config_.hidden_dim});
    }

    kernels::LinearWeight load_lm_head() {
        Range const all{0, config_.hidden_dim};
        Range const& vocab = partition_.vocab;
        if (made_in_place()) {
            device::Buffer matrix(exec_.gpu,
                                  vocab.size() * all.size() * dtype_bytes(options_.dtype));
            kernels::fill_random(exec_, file_.random_matrix(io::GlobalTensor::lm_head), vocab, all,
                                 matrix.data(), options_.dtype);
            return kernels::LinearWeight::adopt(exec_, std::move(matrix), vocab.size(), all.size(),
                                                options_.dtype);
        }
        float* const rows = scratch(vocab.size() * all.size());
        file_.read(io::GlobalTensor::lm_head, vocab, all, rows, all.size());
        return kernels::LinearWeight::pack(exec_, rows, vocab.size(), all.size(), all.size(),
                                           options_.dtype);
    }

    // Row by row in pieces: the table of a large vocabulary need not exist a second time as f32.
    device::Buffer load_embedding() {
        std::int64_t const dim = config_.hidden_dim;
        std::int64_t const row_bytes = dim * dtype_bytes(options_.dtype);
        device::Buffer table(exec_.gpu, partition_.vocab.size() * row_bytes);
        if (made_in_place()) {
            kernels::fill_random(exec_, file_.random_matrix(io::GlobalTensor::token_embedding),
                                 partition_.vocab, {0, dim}, table.data(), options_.dtype);
            return table;
        }
        kernels::ExecContext host = exec_;
        host.backend = exec_.gpu != nullptr ? kernels::Backend::cpu : exec_.backend;
        constexpr std::int64_t kRowsAtOnce = 1024;
        std::vector<std::byte> converted(static_cast<std::size_t>(kRowsAtOnce * row_bytes));
        for (std::int64_t row = 0; row < partition_.vocab.size(); row += kRowsAtOnce) {
            std::int64_t const count = std::min(kRowsAtOnce, partition_.vocab.size() - row);
            Range const rows{partition_.vocab.begin + row, partition_.vocab.begin + row + count};
            float* const piece = scratch(count * dim);
            file_.read(io::GlobalTensor::token_embedding, rows, {0, dim}, piece, dim);
            kernels::convert(host, piece, count * dim, converted.data(), options_.dtype);
            device::upload(exec_.gpu, table.data() + row * row_bytes, converted.data(),
                           count * row_bytes);
        }
        return table;
    }

    io::ModelFile const& file_;
    ModelConfig const& config_;
    Partition const& partition_;
    LoadOptions const& options_;
    kernels::ExecContext const& exec_;
    std::vector<float> buffer_;
};

}  // namespace

WeightShard load_weight_shard(io::ModelFile const& file, Partition const& partition,
                              LoadOptions const& options, kernels::ExecContext const& exec) {
    return ShardLoader(file, partition, options, exec).load();
}

}  // namespace longhaul::model
