#include "engine/video_prompt.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace longhaul::engine {
namespace {

/// The user message with the marker in it, and where that stands.
struct MarkedMessage {
    std::string text;
    std::size_t marker = 0;

    [[nodiscard]] std::string before() const { return text.substr(0, marker); }
    [[nodiscard]] std::string after() const {
        return text.substr(marker + io::kVideoMarker.size());
    }
};

MarkedMessage mark(io::Job const& job) {
    std::string const prompt = job.prompt.value_or("");
    std::size_t const marker = prompt.find(io::kVideoMarker);
    if (marker != std::string::npos) {
        return {prompt, marker};
    }
    std::string text(io::kVideoMarker);
    return {prompt.empty() ? text : text + "\n\n" + prompt, 0};
}

using Pieces = std::vector<text::TextPiece>;

// The pieces in front of byte `begin` of their joined text, and those from byte `end` on.
std::pair<Pieces, Pieces> split(Pieces const& pieces, std::size_t begin, std::size_t end) {
    std::pair<Pieces, Pieces> sides;
    std::size_t at = 0;
    for (text::TextPiece const& piece : pieces) {
        std::size_t const size = piece.text.size();
        if (at < begin) {
            text::TextPiece& left = sides.first.emplace_back(piece);
            left.text.resize(std::min(size, begin - at));
        }
        if (at + size > end) {
            std::size_t const skipped = end > at ? end - at : 0;
            text::TextPiece& right = sides.second.emplace_back(piece);
            right.text.erase(0, skipped);
            right.content_begin += static_cast<std::int64_t>(skipped);
        }
        at += size;
    }
    return sides;
}

VideoSides encode_with_template(TextModel const& text, io::Job const& job,
                                MarkedMessage const& message) {
    std::vector<text::ChatMessage> messages;
    if (job.system) {
        messages.push_back({"system", *job.system});
    }
    messages.push_back({"user", message.text});
    Pieces const pieces = text.chat_template->render_pieces(messages, true);
    std::string joined;
    for (text::TextPiece const& piece : pieces) {
        joined += piece.text;
    }
    std::optional<std::int64_t> const offset =
        text::rendered_offset(pieces, static_cast<std::int64_t>(messages.size()) - 1,
                              static_cast<std::int64_t>(message.marker));
    auto const begin = static_cast<std::size_t>(offset.value_or(0));
    LH_VALIDATE(offset && std::string_view(joined).substr(begin).starts_with(io::kVideoMarker),
                "the model's chat template does not show the user message in one piece, so the "
                "video has no place in it; use a model with another template");
    auto const [before, after] = split(pieces, begin, begin + io::kVideoMarker.size());
    return {text::encode_chat(text.tokenizer, before).ids,
            text::encode_chat(text.tokenizer, after).ids};
}

VideoSides encode_plain(TextModel const& text, io::Job const& job, MarkedMessage const& message) {
    std::string const system = job.system ? *job.system + "\n\n" : std::string();
    auto const encode = [&text](std::string const& side) {
        return text.tokenizer.encode(side, text::SpecialTokens::plain_text).ids;
    };
    VideoSides sides{encode(system + message.before()), encode(message.after())};
    if (text.tokenizer.add_bos() && text.tokenizer.bos_token()) {
        sides.before.insert(sides.before.begin(), *text.tokenizer.bos_token());
    }
    return sides;
}

}  // namespace

VideoSides encode_around_video(TextModel const& text, io::Job const& job) {
    MarkedMessage const message = mark(job);
    return text.chat_template ? encode_with_template(text, job, message)
                              : encode_plain(text, job, message);
}

}  // namespace longhaul::engine
