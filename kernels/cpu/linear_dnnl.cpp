// The only file that knows oneDNN; written for its 2.x and 3.x interfaces.
#include "kernels/cpu/linear_dnnl.hpp"

#include "base/checked.hpp"
#include "kernels/cpu/linear_panel.hpp"
#include "kernels/library_version.hpp"

#include <dnnl.hpp>
#include <omp.h>

#include <algorithm>
#include <array>
#include <list>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::kernels::cpu {

namespace {

constexpr std::int64_t kAmxRows = 16;  // one AMX tile
constexpr std::int64_t kManyRows = 64;
constexpr std::size_t kCachedProducts = 128;

dnnl::engine const& cpu_engine() {
    static dnnl::engine const engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

/// oneDNN plans for the number of threads that OpenMP would start now, in creation and in execution.
class ThreadCount {
  public:
    explicit ThreadCount(int threads) : previous_(omp_get_max_threads()) {
        omp_set_num_threads(threads);
    }
    ThreadCount(ThreadCount const&) = delete;
    ThreadCount& operator=(ThreadCount const&) = delete;
    ~ThreadCount() { omp_set_num_threads(previous_); }

  private:
    int previous_;
};

struct ProductKey {
    std::int64_t m = 0;
    std::int64_t n = 0;
    std::int64_t k = 0;
    DType dtype = DType::f32;
    int threads = 1;

    bool operator==(ProductKey const&) const = default;
};

/// One created matmul; without a primitive where only a slow implementation exists.
struct Product {
    ProductKey key;
    dnnl::matmul primitive;
    dnnl::memory::desc a;
    dnnl::memory::desc weight;
    dnnl::memory::desc c;
    dnnl::memory::desc scratch;
};

Product create(ProductKey const& key) {
    using Memory = dnnl::memory;
    bool const f32 = key.dtype == DType::f32;
    auto const type = f32 ? Memory::data_type::f32 : Memory::data_type::bf16;
    auto const panels = f32 ? Memory::format_tag::BA16a64b : Memory::format_tag::BA16a64b2a;
    Product product;
    product.key = key;
    product.a = {{key.m, key.k}, type, Memory::format_tag::ab};
    product.weight = {{key.k, key.n}, type, panels};
    product.c = {{key.m, key.n}, Memory::data_type::f32, Memory::format_tag::ab};
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    constexpr bool kAllowEmpty = true;  // an empty description instead of an exception
#if DNNL_VERSION_MAJOR >= 3
    dnnl::matmul::primitive_desc const description(cpu_engine(), product.a, product.weight,
                                                   product.c, attributes, kAllowEmpty);
#else
    dnnl::matmul::primitive_desc const description(
        dnnl::matmul::desc(product.a, product.weight, product.c), attributes, cpu_engine(),
        kAllowEmpty);
#endif
    if (!description) {
        return product;
    }
    if (std::string_view(description.impl_info_str()).substr(0, 3) != "brg") {
        return product;
    }
    product.scratch = description.scratchpad_desc();
    product.primitive = dnnl::matmul(description);
    return product;
}

/// Products of this thread, most recently used first. Mixed batches bring many different m: oneDNN's own cache, shared by
/// all threads, keeps what drops out here a while longer.
Product const& find_product(ProductKey const& key) {
    thread_local std::list<Product> products;
    auto const found = std::find_if(products.begin(), products.end(),
                                    [&](Product const& product) { return product.key == key; });
    if (found != products.end()) {
        products.splice(products.begin(), products, found);
    } else {
        products.push_front(create(key));
        if (products.size() > kCachedProducts) {
            products.pop_back();
        }
    }
    return products.front();
}

}  // namespace

bool dnnl_is_faster(ExecContext const& exec, DType dtype, std::int64_t m) {
    // Measured on the same panels (tests/bench/bench_linear_cpu): from here on oneDNN is level or up to 5 % ahead, below it
    // our register tiles are. With AMX it is far ahead from the first full tile on.
    if (exec.isa < Isa::avx512 || (dtype == DType::bf16 && exec.isa != Isa::avx512_bf16)) {
        return false;
    }
    static bool const has_amx = (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) &
                                 static_cast<unsigned>(dnnl::cpu_isa::avx512_core_amx)) ==
                                static_cast<unsigned>(dnnl::cpu_isa::avx512_core_amx);
    return m >= (has_amx && dtype == DType::bf16 ? kAmxRows : kManyRows);
}

bool dnnl_linear(int threads, void const* a, std::int64_t m, LinearWeight::Impl const& weight,
                 float* c) {
    ThreadCount const scope(threads);
    Product const& product = find_product({m, weight.n, weight.k, weight.dtype, threads});
    if (!product.primitive) {
        return false;
    }
    thread_local std::vector<std::byte> scratch;
    scratch.resize(std::max(scratch.size(), product.scratch.get_size()));
    thread_local dnnl::stream stream(cpu_engine());
    // oneDNN's handles are not const; it reads a and the panels only.
    auto const bind = [](dnnl::memory::desc const& description, void const* data) {
        return dnnl::memory(description, cpu_engine(), const_cast<void*>(data));
    };
    product.primitive.execute(stream,
                              {{DNNL_ARG_SRC, bind(product.a, a)},
                               {DNNL_ARG_WEIGHTS, bind(product.weight, weight.bytes.data.get())},
                               {DNNL_ARG_DST, bind(product.c, c)},
                               {DNNL_ARG_SCRATCHPAD, bind(product.scratch, scratch.data())}});
    stream.wait();
    return true;
}

}  // namespace longhaul::kernels::cpu

namespace longhaul::kernels {

std::string onednn_version() {
    dnnl_version_t const& version = *dnnl_version();
    return std::to_string(version.major) + '.' + std::to_string(version.minor) + '.' +
           std::to_string(version.patch);
}

}  // namespace longhaul::kernels
