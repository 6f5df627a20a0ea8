#include "text/stream_decoder.hpp"

#include "text/tokenizer.hpp"
#include "text/utf8.hpp"

#include <utility>

namespace longhaul::text {

std::string StreamDecoder::push(TokenId id) {
    if (tokenizer_->is_special(id)) {
        return {};
    }
    pending_ += tokenizer_->token_bytes(id);
    // Hold back an unfinished sequence at the end; it begins at most 3 bytes before it.
    std::size_t hold = 0;
    for (std::size_t back = 1; back <= 3 && back <= pending_.size(); ++back) {
        auto const at = static_cast<std::int64_t>(pending_.size() - back);
        Utf8Sequence const sequence = utf8_sequence_at(pending_, at);
        if (sequence.state == Utf8State::incomplete &&
            sequence.size == static_cast<std::int64_t>(back)) {
            hold = back;
        }
    }
    std::string const kept = pending_.substr(pending_.size() - hold);
    pending_.resize(pending_.size() - hold);
    std::string out = to_valid_utf8(pending_);
    pending_ = kept;
    return out;
}

std::string StreamDecoder::finish() { return to_valid_utf8(std::exchange(pending_, {})); }

}  // namespace longhaul::text
