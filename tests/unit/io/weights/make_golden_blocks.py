#!/usr/bin/env python3
"""Writes golden_blocks.hpp: a few stored blocks and the numbers that the PyPI package gguf makes of them.

    pip install gguf && tests/unit/io/weights/make_golden_blocks.py > tests/unit/io/weights/golden_blocks.hpp
"""
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import dequantize

HALVES = {Type.Q4_0: 1, Type.Q4_1: 2, Type.Q8_0: 1}  # scales in front of a block
BYTES = {Type.Q4_0: 18, Type.Q4_1: 20, Type.Q8_0: 34}


def stored(kind, rng):
    """Two random blocks, the second with a subnormal scale; 32 numbers for the unquantised types."""
    if kind == Type.F32:
        return (rng.standard_normal(32) * 10.0 ** rng.integers(-30, 30, 32)).astype(np.float32).view(np.uint8)
    if kind == Type.F16:
        halves = rng.integers(0, 0x7c00, 32) | (rng.integers(0, 2, 32) << 15)
        halves[:4] = [0x0001, 0x83ff, 0x0000, 0x7bff]
        return halves.astype(np.uint16).view(np.uint8)
    if kind == Type.BF16:
        return (rng.integers(0, 0x7f80, 32) | (rng.integers(0, 2, 32) << 15)).astype(np.uint16).view(np.uint8)
    blocks = rng.integers(0, 256, (2, BYTES[kind]), dtype=np.uint8)
    for block, size in ((0, 0.37), (1, 3e-6)):
        scales = (rng.standard_normal(HALVES[kind]) * size).astype(np.float16)
        blocks[block, : 2 * HALVES[kind]] = scales.view(np.uint8)
    return blocks.reshape(-1)


def rows(items, width):
    items = list(items)
    return ",\n    ".join(", ".join(items[i:i + width]) for i in range(0, len(items), width))


def main():
    rng = np.random.default_rng(20250101)
    print("#pragma once\n\n// Written by make_golden_blocks.py from the PyPI package gguf; do not edit.\n")
    print("#include <cstdint>\n\nnamespace longhaul::test {\n\n// clang-format off")
    for kind in (Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q8_0):
        data = stored(kind, rng)
        values = dequantize(data, kind).astype(np.float32).reshape(-1)
        name = kind.name.replace("_", "")
        print(f"inline constexpr std::uint8_t kStored{name}[] = {{\n    {rows((str(b) for b in data), 20)}}};")
        print(f"inline constexpr float kNumbers{name}[] = {{\n    "
              f"{rows((float(v).hex() + 'F' for v in values), 4)}}};\n")
    print("// clang-format on\n\n}  // namespace longhaul::test")


main()
