#include "app/queue_split.hpp"

#include "io/queue_split.hpp"
#include "report/format.hpp"

#include <fmt/format.h>

#include <ostream>
#include <string>
#include <vector>

namespace longhaul::app {

int split_queue_command(std::filesystem::path const& queue, std::filesystem::path const& output,
                        std::int64_t parts, std::ostream& out) {
    std::vector<std::vector<std::string>> table = {{"part", "jobs", "documents", "size"}};
    for (io::QueuePart const& part : io::split_queue(queue, output, parts)) {
        table.push_back({part.path.string(), report::grouped(part.jobs),
                         report::grouped(part.documents), report::short_bytes(part.bytes)});
    }
    out << report::aligned(table)
        << fmt::format("\nrun them with: sbatch --array=0-{} jobs/array.sbatch MODEL {} OUTPUT\n",
                       parts - 1, output.string());
    return 0;
}

}  // namespace longhaul::app
