#include "device/graph.hpp"

#include "device/native.hpp"

#include <utility>

namespace longhaul::device {

Graph::Graph(Gpu const& gpu, std::function<void()> const& work) : gpu_(&gpu) {
    native::begin_capture(gpu.stream());
    try {
        work();
    } catch (...) {
        native::abandon_capture(gpu.stream());
        throw;
    }
    native_ = native::end_capture(gpu.stream());
}

Graph::Graph(Graph&& other) noexcept
    : gpu_(other.gpu_), native_(std::exchange(other.native_, nullptr)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
    if (this != &other) {
        native::destroy_graph(native_);
        gpu_ = other.gpu_;
        native_ = std::exchange(other.native_, nullptr);
    }
    return *this;
}

Graph::~Graph() { native::destroy_graph(native_); }

void Graph::launch() const { native::launch_graph(native_, gpu_->stream()); }

}  // namespace longhaul::device
