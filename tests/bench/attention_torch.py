#!/usr/bin/env python3
"""cuDNN's attention through PyTorch, on the shapes and in the manner of bench_attention_cuda, to be run beside it on the same GPU.

Burst is the median of single calls after a rest, sustained the mean of calls back to back for 0.4 s. Causal rows count half of
the square.
"""

import argparse
import statistics
import time


def timed(torch, function, calls=1):
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(calls):
        function()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / calls


def measure(torch, name, heads, kv_heads, dim, rows, slots, causal=False):
    from torch.nn import functional
    from torch.nn.attention import SDPBackend, sdpa_kernel

    shape = {"device": "cuda", "dtype": torch.bfloat16}
    queries = torch.randn(1, heads, rows, dim, **shape)
    keys = torch.randn(1, kv_heads, slots, dim, **shape)
    values = torch.randn_like(keys)

    def attend():
        functional.scaled_dot_product_attention(queries, keys, values, is_causal=causal, enable_gqa=True)

    try:
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            timed(torch, attend)
            estimate = timed(torch, attend, 2)
            time.sleep(0.3)
            timed(torch, attend, 2)
            burst = statistics.median(timed(torch, attend) for _ in range(5))
            sustained = timed(torch, attend, max(3, min(2000, int(0.4 / estimate))))
    except RuntimeError as error:
        print(f"{name:<34} not available: {str(error).splitlines()[0][:80]}")
        return
    flops = 4 * heads * rows * slots * dim * (0.5 if causal else 1)
    kv_bytes = 4 * kv_heads * slots * dim
    figures = [f"{what} {seconds * 1e6:9.1f} us {flops / seconds * 1e-12:6.1f} TFLOP/s {kv_bytes / seconds * 1e-12:5.2f} TB/s"
               for what, seconds in (("burst", burst), ("sustained", sustained))]
    print(f"{name:<34} {' | '.join(figures)}", flush=True)


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("no GPU here")
    for dim, heads, kv_heads in ((128, 32, 8), (128, 16, 4), (64, 9, 3)):
        form = f"d{dim} {heads}/{kv_heads}"
        for rows in (512, 4096, 8192):
            measure(torch, f"prefill {form} q{rows} kv131072", heads, kv_heads, dim, rows, 131072)
        for rows in (1, 16, 64, 128):
            measure(torch, f"short {form} q{rows} kv131072", heads, kv_heads, dim, rows, 131072)
        measure(torch, f"short {form} q1 kv16384", heads, kv_heads, dim, 1, 16384)
        measure(torch, f"prefill {form} q4096 kv8192", heads, kv_heads, dim, 4096, 8192)
        for length in (8192, 32768):
            measure(torch, f"causal {form} n{length}", heads, kv_heads, dim, length, length, causal=True)


if __name__ == "__main__":
    main()
