// Any bytes as a chat template (up to the first zero byte) with the rest as a message: it renders or is refused, ends, and
// nothing of the message turns into template text.
#include "base/error.hpp"
#include "text/chat_template.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace longhaul;
    std::string const input(reinterpret_cast<char const*>(data), size);
    std::size_t const zero = input.find('\0');
    std::string const content = zero == std::string::npos ? "Hi" : input.substr(zero + 1);
    std::vector<text::ChatMessage> const messages{{"system", "Be brief."}, {"user", content}};
    try {
        text::ChatTemplate const chat(input.substr(0, zero), "<s>", "</s>");
        std::string joined;
        for (text::TextPiece const& piece : chat.render_pieces(messages, true)) {
            LH_ASSERT(!piece.text.empty());
            if (piece.message_index >= 0) {
                std::string const& source =
                    messages[static_cast<std::size_t>(piece.message_index)].content;
                LH_ASSERT(source.compare(static_cast<std::size_t>(piece.content_begin),
                                         piece.text.size(), piece.text) == 0);
            }
            joined += piece.text;
        }
        LH_ASSERT(joined == chat.render(messages, true));
    } catch (ValidationError const&) {
    }
    return 0;
}
