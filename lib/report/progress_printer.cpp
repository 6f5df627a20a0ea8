#include "report/progress_printer.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

namespace longhaul::report {
namespace {

constexpr char const* kEraseLine = "\r\x1b[K";

double interval_of(ProgressStyle style) { return style == ProgressStyle::terminal ? 1.0 : 10.0; }

// Progress is a courtesy: a closed terminal does not end the run.
void write_text(int descriptor, std::string_view text) {
    while (!text.empty()) {
        auto const written = ::write(descriptor, text.data(), text.size());
        if (written <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace

ProgressPrinter::ProgressPrinter(ProgressStyle style, int descriptor, int width)
    : style_(style), descriptor_(descriptor), width_(width) {}

ProgressPrinter ProgressPrinter::for_stderr(bool quiet) {
    if (quiet) return {ProgressStyle::quiet, STDERR_FILENO};
    if (::isatty(STDERR_FILENO) == 0) return {ProgressStyle::plain, STDERR_FILENO};
    winsize size{};
    bool const known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return {ProgressStyle::terminal, STDERR_FILENO, known ? size.ws_col : 80};
}

void ProgressPrinter::update(ProgressCounters const& counters, double now_s) {
    if (style_ == ProgressStyle::quiet) return;
    meter_.update(counters, now_s);
    if (printed_s_ && now_s - *printed_s_ < interval_of(style_)) return;
    printed_s_ = now_s;
    print(style_ == ProgressStyle::terminal ? "" : "\n");
}

void ProgressPrinter::clear() {
    if (on_screen_) write_text(descriptor_, kEraseLine);
    if (on_screen_) printed_s_.reset();
    on_screen_ = false;
}

void ProgressPrinter::finish(ProgressCounters const& counters, double now_s) {
    if (style_ == ProgressStyle::quiet) return;
    meter_.update(counters, now_s);
    print("\n");
    on_screen_ = false;
    printed_s_ = now_s;
}

void ProgressPrinter::print(std::string_view ending) {
    std::string text = "longhaul: " + meter_.line();
    if (style_ == ProgressStyle::terminal) {
        // A line that wraps could not be rewritten in place; the last column stays free.
        if (width_ > 0 && text.size() > static_cast<std::size_t>(width_) - 1) {
            text.resize(static_cast<std::size_t>(width_) - 1);
        }
        text.insert(0, kEraseLine);
        on_screen_ = true;
    }
    write_text(descriptor_, text.append(ending));
}

}  // namespace longhaul::report
