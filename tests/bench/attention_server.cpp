#include "bench/attention_server.hpp"

#include "base/error.hpp"
#include "device/error.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

namespace longhaul::kernels {
namespace {

using Json = nlohmann::ordered_json;

class Server {
  public:
    Server(device::Gpu& gpu, AttentionRunOptions const& options) : gpu_(gpu), options_(options) {}

    Json answer(std::string const& request) {
        std::istringstream words(request);
        std::string verb;
        words >> verb >> std::ws;
        if (verb == "open") {
            std::string name;
            std::getline(words, name);
            return open(name);
        }
        if (verb == "time") {
            return time(words);
        }
        LH_VALIDATE(verb == "close", "'{}' is not open NAME, time COUNT CALLS or close", request);
        run_.reset();
        return Json::object();
    }

  private:
    Json open(std::string const& name) {
        run_.reset();
        auto const at = std::ranges::find(cases_, name, &AttentionCase::name);
        LH_VALIDATE(at != cases_.end(), "there is no case '{}'; --list names them", name);
        run_ = std::make_unique<AttentionRun>(gpu_, *at, options_);
        return {{"path", run_->path()}};
    }

    Json time(std::istream& words) {
        constexpr int kMost = 1'000'000;
        int count = 0;
        int calls = 0;
        words >> count >> calls;
        LH_VALIDATE(count > 0 && count <= kMost && calls > 0 && calls <= kMost,
                    "COUNT and CALLS must lie in 1 to {}", kMost);
        LH_VALIDATE(run_ != nullptr, "no case is open");
        Json seconds = Json::array();
        for (int i = 0; i < count; ++i) {
            seconds.push_back(run_->seconds_per_call(calls));
        }
        return {{"seconds", seconds}};
    }

    device::Gpu& gpu_;
    AttentionRunOptions options_;
    std::vector<AttentionCase> const cases_ = attention_cases();
    std::unique_ptr<AttentionRun> run_;
};

void put(Json const& line) { std::cout << line.dump() << std::endl; }

Json answer_or_error(Server& server, std::string const& request) {
    try {
        return server.answer(request);
    } catch (ValidationError const& error) {
        return {{"error", error.what()}};
    } catch (device::OutOfDeviceMemory const& error) {
        return {{"error", error.what()}};
    }
}

}  // namespace

bool serve_attention(AttentionRunOptions const& options) {
    if (device::list_gpus().empty()) {
        put({{"error", "no GPU"}});
        return false;
    }
    device::Gpu gpu(0);
    std::string uuid;
    for (std::uint8_t const byte : gpu.info().uuid) {
        uuid += fmt::format("{:02x}", byte);
    }
    put({{"gpu", gpu.info().name}, {"uuid", uuid}});
    Server server(gpu, options);
    for (std::string request; std::getline(std::cin, request);) {
        put(answer_or_error(server, request));
    }
    return true;
}

}  // namespace longhaul::kernels
