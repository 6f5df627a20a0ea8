#!/usr/bin/env python3
"""Makes the golden data of the tokenizer tests with Hugging Face tokenizers, code that is not ours.

Usage: make_golden.py [--model models/smollm2-135m/model.gguf]      (pip install tokenizers gguf)
Writes into data/ beside this script:
    small_tokenizer.json   a byte-level BPE of 400 merges, trained on the sample strings below
    small_golden.json      {"smollm": [{"text", "ids"}...], "gpt-2": [...]} for it
    smollm2_golden.json    the same for the real vocabulary, if the model is there
"""
import argparse
import json
import pathlib
import random

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

DATA = pathlib.Path(__file__).resolve().parent / "data"
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

SAMPLES = [
    "", " ", "  ", "\n", "\n\n", "\n\n  1", "\n\n  a", "a", " a", "  a", "a ", "a  ", "\t", "\t\tx", " \t x", "\r\n", "a\r\nb\r\n",
    "Hello, world!", "Hello world", "hello   world", "  leading and trailing  ", "In the beginning God created the heaven and the earth.",
    "Ge1:1 In the beginning God created the heaven and the earth.\nGe1:2 And the earth was without form, and void;",
    "I'm you're he's we've they'll she'd don't", "I'M YOU'RE", "'s 't 're 've 'm 'll 'd", "''s'", "'r 'v 'l", "it's' 'tis", "o'clock's",
    "1", "12", "123 456", "3.14159", "1,000,000", "2023-11-24T08:02:11Z", "a1b22c333", "v1.2.3-rc4", "0x1F", "\u00b2\u00bd\u2167", "\u0663\u0664\u0665 \u0967\u0968",
    "x = 1 + 2", "def f(x):\n    return x ** 2\n\n\nclass A:\n\tpass\n", "for (int i = 0; i < 10; ++i) { sum += a[i]; }", "#include <vector>\n\nint main() { return 0; }\n",
    "SELECT * FROM t WHERE id=42;", "{\"key\": [1, 2, {\"a\": null}]}", "<html><body class=\"x\">&amp;</body></html>", "https://example.org/a/b?c=d&e=%20f#g", "user@example.org",
    "caf\u00e9", "cafe\u0301", "na\u00efve fa\u00e7ade \u00fcber \u00d8re", "Stra\u00dfe", "\u0130stanbul \u0131", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\ud55c\uad6d\uc5b4 \ud14d\uc2a4\ud2b8", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u05e9\u05dc\u05d5\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\U00020000\U0002a6d6",
    "\U0001f600", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "a\U0001f600b", "\u2764\ufe0f", "\u00a0x\u00a0", "\u2003\u2003x", "a\u3000b", "\u180e", "a\u180eb", "\u200b\u200c\u200d", "\ufeffBOM", "\u0085x\u2028y\u2029z",
    "\x00", "\x01\x02a", "a\x04b", "\x7f", "\ue000\uf8ff", "\U0010ffff", "\ufffd\ufffe", "\u0300\u0301", "e\u0300\u0301\u0302x", "\u2192\u21d2\u2211\u222b", "\u20ac100 \u00a35 \u00a57", "\u201cquoted\u201d \u2018single\u2019 \u2014 dash\u2026", "...", "!!!???", "----", "a--b", " -x", " !", "  !", "  1", " 1", "   12", "1 2", "1  2", "1\n2", "a\n 1", "a \n\n\n b", "\n \n", " \n", "\n ", " \n a", "\n\n\n\n\na", "a\n\n\n\n\n",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "thethethethethethethethethethethethethethethethethethethethethethethethethethethethethe", "                                                                                x", "================================================================================",
    "<|im_start|>", "a<|im_end|>b", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|im_start", "|im_end|>", "<<|im_end|>>", "<|im_end|><|im_end|>", " <|im_end|> ", "x <|endoftext|>\n\n", "<|endoftext|>1",
]


def random_samples(count, seed=7):
    rng = random.Random(seed)
    pool = "aetoins AEIOU  \n\t'sdmtrevl0123456789.,;:!?-()\u00e9\u00fc\u00f1\u4e2d\u6587\U0001f600\u00a0\u2009\u0301"
    return ["".join(rng.choice(pool) for _ in range(rng.randrange(1, 60))) for _ in range(count)]


def pre_tokenizer(kind):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if kind == "gpt-2":
        return byte_level
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])


def golden(tokenizer):
    result = {}
    for kind in ("smollm", "gpt-2"):
        tokenizer.pre_tokenizer = pre_tokenizer(kind)
        result[kind] = [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in SAMPLES + random_samples(60)]
    return result


def train_small():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer("smollm")
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=len(CONTROL) + 256 + 400, special_tokens=CONTROL, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(sorted(SAMPLES) * 3, trainer)
    tokenizer.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return tokenizer


def real(path):
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    types = fields["tokenizer.ggml.token_type"].contents()
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token, kind in zip(tokens, types) if kind == 3])
    return tokenizer


def write(name, value):
    lines = ",\n".join(f'"{kind}": [\n' + ",\n".join(json.dumps(entry) for entry in entries) + "\n]" for kind, entries in value.items())
    (DATA / name).write_text("{\n" + lines + "\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/smollm2-135m/model.gguf")
    model = pathlib.Path(parser.parse_args().model)
    small = train_small()
    small.save(str(DATA / "small_tokenizer.json"))
    write("small_golden.json", golden(small))
    if model.exists():
        write("smollm2_golden.json", golden(real(model)))


if __name__ == "__main__":
    main()
