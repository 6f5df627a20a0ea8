"""The prompts of the golden data, as token ids of SmolLM2's tokenizer."""

import subprocess
import sys

import gguf
import tokenizers
from gguf_llama import scalar
from tokenizers import decoders, models, pre_tokenizers

# Written for this file: code with indentation, digits, operators and non-ASCII text.
kCode = '''#include <cstdint>
#include <vector>

// Sums f(i) for 0 <= i < n; Σ of an empty range is 0.
template <typename F>
std::int64_t sum_range(std::int64_t n, F&& f) {
  std::int64_t total = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    total += f(i);
  }
  return total;
}

int main() {
  std::vector<int> primes{2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
  const auto square = [&](std::int64_t i) { return primes[i] * primes[i]; };
  const auto answer = sum_range(10, square);  // 2397 — naïve, but clear
  return answer == 2397 ? 0 : 1;
}
'''

kQuestion = ("Name three things that a farmer needs before winter comes, and say in a few words "
             "why each of them matters to the farm and the family.")


def make_tokenizer(path):
    """SmolLM's tokenizer: digits one by one, then GPT-2's pattern, then byte-level BPE."""
    reader = gguf.GGUFReader(str(path))
    tokens = scalar(reader, "tokenizer.ggml.tokens")
    types = scalar(reader, "tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in scalar(reader, "tokenizer.ggml.merges")]
    result = tokenizers.Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    result.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    result.decoder = decoders.ByteLevel()
    result.add_special_tokens(
        [tokenizers.AddedToken(t, special=True, normalized=False)
         for t, kind in zip(tokens, types) if kind == gguf.TokenType.CONTROL])
    return result


def scripture(reference):
    # The King James Bible from Debian's package bible-kjv, one verse a line.
    done = subprocess.run(["bible", "-f", reference], check=True, capture_output=True, text=True)
    return done.stdout


def make_prompts(tokenizer, longest):
    def head(text, count):
        ids = tokenizer.encode(text).ids
        if len(ids) < count:
            sys.exit(f"a source has {len(ids)} tokens, {count} are needed")
        return ids[:count]

    def chat(count):
        before = tokenizer.encode("<|im_start|>user\n").ids
        after = tokenizer.encode("<|im_end|>\n<|im_start|>assistant\n").ids
        return before + head(kQuestion, count - len(before) - len(after)) + after

    prompts = {
        "sentence-5": head("The capital of France is Paris", 5),
        "chat-37": chat(37),
        "code-130": head(kCode, 130),
        "psalms-515": head(scripture("psa1:1-psa20:9"), 515),
        "luke-1999": head(scripture("luk1:1-luk24:53"), 1999),
        "genesis-6000": head(scripture("gen1:1-gen50:26"), 6000),
    }
    return {name: ids for name, ids in prompts.items() if len(ids) <= longest}
