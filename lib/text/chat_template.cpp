#include "text/chat_template.hpp"

#include "base/error.hpp"
#include "text/utf8.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::text {
namespace {

// Sources of tracked strings: message i's role is 2i, its content 2i + 1.
std::int64_t role_source(std::size_t message) { return static_cast<std::int64_t>(message) * 2; }
std::int64_t content_source(std::size_t message) {
    return static_cast<std::int64_t>(message) * 2 + 1;
}
bool is_content(std::int64_t source) { return source % 2 == 1; }

// FNV-1a.
std::uint64_t hash_field(std::uint64_t hash, std::string_view field) {
    constexpr std::uint64_t kPrime = 0x100000001b3ULL;
    for (char const byte : field) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * kPrime;
    }
    return (hash ^ 0x100U) * kPrime;  // no byte: fields cannot run into each other
}

jinja::Value message_value(ChatMessage const& message, std::size_t index) {
    require_utf8(message.role, fmt::format("the role of message {}", index));
    require_utf8(message.content, fmt::format("the text of message {}", index));
    jinja::Dict dict;
    dict.emplace("role", jinja::Value(TrackedString(message.role, role_source(index))));
    dict.emplace("content", jinja::Value(TrackedString(message.content, content_source(index))));
    return jinja::Value(std::move(dict));
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string bos_token, std::string eos_token)
    : source_(std::move(source)),
      bos_token_(std::move(bos_token)),
      eos_token_(std::move(eos_token)),
      template_(source_) {}

TrackedString ChatTemplate::render_tracked(std::span<ChatMessage const> messages,
                                           bool add_generation_prompt) const {
    jinja::List list;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        list.push_back(message_value(messages[i], i));
    }
    jinja::Dict variables;
    variables.emplace("messages", jinja::Value(std::move(list)));
    variables.emplace("add_generation_prompt", jinja::Value(add_generation_prompt));
    variables.emplace("bos_token", jinja::Value(TrackedString(bos_token_)));
    variables.emplace("eos_token", jinja::Value(TrackedString(eos_token_)));
    // transformers passes these two even where there are none.
    variables.emplace("tools", jinja::Value(jinja::None{}));
    variables.emplace("documents", jinja::Value(jinja::None{}));
    return template_.render(variables);
}

std::string ChatTemplate::render(std::span<ChatMessage const> messages,
                                 bool add_generation_prompt) const {
    return render_tracked(messages, add_generation_prompt).bytes();
}

std::vector<TextPiece> ChatTemplate::render_pieces(std::span<ChatMessage const> messages,
                                                   bool add_generation_prompt) const {
    TrackedString const whole = render_tracked(messages, add_generation_prompt);
    std::vector<TextPiece> pieces;
    std::int64_t at = 0;
    auto const bytes = [&](std::int64_t begin, std::int64_t end) {
        return whole.bytes().substr(static_cast<std::size_t>(begin),
                                    static_cast<std::size_t>(end - begin));
    };
    for (TrackedString::Span const& span : whole.spans()) {
        if (at < span.bytes.begin) {
            pieces.push_back({.text = bytes(at, span.bytes.begin)});
        }
        TextPiece piece{.text = bytes(span.bytes.begin, span.bytes.end), .from_message = true};
        if (is_content(span.source)) {
            piece.message_index = span.source / 2;
            piece.content_begin = span.source_begin;
        }
        pieces.push_back(std::move(piece));
        at = span.bytes.end;
    }
    if (at < whole.size()) {
        pieces.push_back({.text = bytes(at, whole.size())});
    }
    return pieces;
}

std::string ChatTemplate::fingerprint() const {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (std::string const* const field : {&source_, &bos_token_, &eos_token_}) {
        hash = hash_field(hash, *field);
    }
    return fmt::format("{:016x}", hash);
}

Encoding encode_chat(Tokenizer const& tokenizer, std::span<TextPiece const> pieces) {
    std::string text;
    std::vector<Range> written_by_template;
    for (TextPiece const& piece : pieces) {
        auto const begin = static_cast<std::int64_t>(text.size());
        text += piece.text;
        auto const end = static_cast<std::int64_t>(text.size());
        if (piece.from_message || piece.text.empty()) {
            continue;
        }
        if (!written_by_template.empty() && written_by_template.back().end == begin) {
            written_by_template.back().end = end;
        } else {
            written_by_template.push_back({begin, end});
        }
    }
    return tokenizer.encode(text, written_by_template);
}

std::optional<std::int64_t> rendered_offset(std::span<TextPiece const> pieces,
                                            std::int64_t message_index,
                                            std::int64_t content_offset) {
    LH_EXPECT(message_index >= 0 && content_offset >= 0);
    std::optional<std::int64_t> found;
    std::int64_t begin = 0;
    for (TextPiece const& piece : pieces) {
        auto const size = static_cast<std::int64_t>(piece.text.size());
        if (piece.message_index == message_index) {
            if (found) {
                return std::nullopt;
            }
            found = begin + std::clamp<std::int64_t>(content_offset - piece.content_begin, 0, size);
        }
        begin += size;
    }
    return found;
}

}  // namespace longhaul::text
