"""Two ways from a Llama GGUF to the same float32 transformers model, to check one by the other."""

import sys

import gguf
import numpy as np
import torch
import transformers


def scalar(reader, key):
    return reader.fields[key].contents()


def load_by_transformers(path):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(path.parent.resolve()), gguf_file=path.name, dtype=torch.float32,
        attn_implementation="sdpa")
    return model.eval()


def load_by_hand(path):
    """The same model from the GGUF's own tensors, as a check on load_by_transformers."""
    reader = gguf.GGUFReader(str(path))
    heads = scalar(reader, "llama.attention.head_count")
    kv_heads = scalar(reader, "llama.attention.head_count_kv")
    tensors = {t.name: t for t in reader.tensors}
    config = transformers.LlamaConfig(
        vocab_size=int(tensors["token_embd.weight"].shape[1]),
        hidden_size=scalar(reader, "llama.embedding_length"),
        intermediate_size=scalar(reader, "llama.feed_forward_length"),
        num_hidden_layers=scalar(reader, "llama.block_count"),
        num_attention_heads=heads, num_key_value_heads=kv_heads,
        rms_norm_eps=scalar(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default",
                         "rope_theta": scalar(reader, "llama.rope.freq_base")},
        max_position_embeddings=scalar(reader, "llama.context_length"),
        tie_word_embeddings="output.weight" not in tensors, attn_implementation="sdpa")

    def weight(name):
        t = tensors[name]
        return np.array(gguf.quants.dequantize(t.data, t.tensor_type), dtype=np.float32)

    def unpermuted(name, head_count):
        # GGUF stores each head's rows as pairs (i, i + d/2) side by side; transformers wants the
        # two halves one after the other.
        w = weight(name)
        d = w.shape[0] // head_count
        return w.reshape(head_count, d // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)

    state = {"model.embed_tokens.weight": weight("token_embd.weight"),
             "model.norm.weight": weight("output_norm.weight")}
    state["lm_head.weight"] = (state["model.embed_tokens.weight"] if config.tie_word_embeddings
                               else weight("output.weight"))
    plain = {"attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
             "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    for layer in range(config.num_hidden_layers):
        for ours, theirs in plain.items():
            state[f"model.layers.{layer}.{theirs}.weight"] = weight(f"blk.{layer}.{ours}.weight")
        for ours, theirs, count in (("attn_q", "q_proj", heads), ("attn_k", "k_proj", kv_heads)):
            state[f"model.layers.{layer}.self_attn.{theirs}.weight"] = unpermuted(
                f"blk.{layer}.{ours}.weight", count)
    model = transformers.LlamaForCausalLM(config)
    model.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()})
    return model.eval()


def require_same(a, b):
    ours, theirs = dict(a.named_parameters()), dict(b.named_parameters())
    if ours.keys() != theirs.keys():
        sys.exit(f"the two loaders disagree on names: {ours.keys() ^ theirs.keys()}")
    for name, value in ours.items():
        if not torch.equal(value, theirs[name]):
            sys.exit(f"the two loaders disagree on {name}")
    if not torch.equal(a.model.rotary_emb.inv_freq, b.model.rotary_emb.inv_freq):
        sys.exit("the two loaders disagree on the RoPE frequencies")
    if a.config.rms_norm_eps != b.config.rms_norm_eps:
        sys.exit("the two loaders disagree on the norm's epsilon")


def to_bfloat16(model):
    """What from_pretrained(dtype=bfloat16) gives: bfloat16 weights, float32 RoPE frequencies.

    A bare model.to(bfloat16) would round the frequencies too and ruin long prompts.
    """
    frequencies = model.model.rotary_emb.inv_freq.clone()
    model = model.to(torch.bfloat16)
    model.model.rotary_emb.inv_freq = frequencies
    return model
