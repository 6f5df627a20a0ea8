#!/usr/bin/env python3
"""Writes an example file of video tokens: what jobs of kind "video_tokens" read.

The rows are made up: a few patterns that drift from frame to frame, with noise. A real file has the output of a vision
tower and its projector in the same form:

    /tokens      [n, width]  float32, float16, or uint16 with the attribute dtype = "bf16" (upper half of a float32)
    /timestamps  [n]         optional, seconds
    attributes   model, width (of the file); optional, compared with the run's model; text of fixed length (numpy.bytes_)

To read bf16 rows back with h5py: (f["tokens"][a:b].astype("uint32") << 16).view("float32"). Needs h5py and numpy.

Examples:
    scripts/make_video_tokens.py clip.h5 --like models/smollm2-135m/model.gguf
    scripts/make_video_tokens.py clip.h5 --width 4096 --model my-model --frames 2000 --dtype f16
"""
import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SLICE = 1024  # tokens made and written at a time: a film need not fit into memory

try:
    import h5py
    import numpy
    MISSING = None
except ImportError as error:
    MISSING = error.name


def ask_model(program, model):
    """(width, name) of a model file."""
    try:
        run = subprocess.run([program, "inspect", "model", model, "--json"], capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"error: cannot start {program}: {error.strerror}; build it, or give --longhaul or --width")
    if run.returncode != 0:
        sys.exit(run.stderr.strip() or f"error: {program} inspect model {model} failed")
    found = json.loads(run.stdout)
    return found["hidden_dim"], found["name"]


class Film:
    """Rows of a pretended video, any part of which can be made by itself."""

    def __init__(self, width, tokens_per_frame, scale, seed):
        self.tokens_per_frame, self.scale, self.seed = tokens_per_frame, scale, seed
        make = numpy.random.default_rng(seed)
        self.patterns = make.standard_normal((8, width), dtype="float32")
        self.places = make.standard_normal((tokens_per_frame, 8), dtype="float32")

    def rows(self, begin, end):
        index = numpy.arange(begin, end)
        frame, place = index // self.tokens_per_frame, index % self.tokens_per_frame
        drift = numpy.sin(frame[:, None] * 0.1 * numpy.arange(1, 9)[None, :]).astype("float32")
        noise = numpy.random.default_rng([self.seed, begin]).standard_normal(
            (end - begin, self.patterns.shape[1]), dtype="float32")
        rows = (self.places[place] * drift) @ self.patterns / 2 + noise
        return rows * (self.scale / rows.std(axis=1, keepdims=True))


def to_bf16(rows):
    """Rounded to nearest even, as uint16."""
    bits = rows.view("uint32")
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("uint16")


STORED = {"f32": ("float32", lambda rows: rows),
          "f16": ("float16", lambda rows: rows.astype("float16")),
          "bf16": ("uint16", to_bf16)}


def write(path, options, width, name):
    count = options.frames * options.tokens_per_frame
    film = Film(width, options.tokens_per_frame, options.scale, options.seed)
    dtype, convert = STORED[options.dtype]
    with h5py.File(path, "w") as file:
        file.attrs["width"] = width
        if name:
            file.attrs["model"] = numpy.bytes_(name)
        tokens = file.create_dataset("tokens", (count, width), dtype)
        if options.dtype == "bf16":
            tokens.attrs["dtype"] = numpy.bytes_("bf16")
        for begin in range(0, count, SLICE):
            end = min(begin + SLICE, count)
            tokens[begin:end] = convert(film.rows(begin, end))
        file["timestamps"] = numpy.repeat(numpy.arange(options.frames) / options.fps, options.tokens_per_frame)
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="file to write")
    parser.add_argument("--like", metavar="MODEL", help="take width and name from this model file")
    parser.add_argument("--width", type=int, help="numbers per token: the model's hidden_dim")
    parser.add_argument("--model", default="", help="name of the model that the tokens are for")
    parser.add_argument("--frames", type=int, default=32, help="of the pretended video (%(default)s)")
    parser.add_argument("--tokens-per-frame", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--fps", type=float, default=2.0, help="frames per second, for the timestamps (%(default)s)")
    parser.add_argument("--dtype", choices=STORED, default="bf16", help="(%(default)s)")
    parser.add_argument("--scale", type=float, default=0.1, help="standard deviation of the numbers (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--longhaul", default=str(ROOT / "build" / "cpu" / "longhaul"), help="program that --like asks")
    options = parser.parse_args()
    if MISSING:
        sys.exit(f"error: the Python package '{MISSING}' is missing; install it with `apt-get install python3-h5py` "
                 "or `pip install h5py numpy`")
    if (options.like is None) == (options.width is None):
        parser.error("give one of --like and --width")
    if min(options.frames, options.tokens_per_frame) < 1 or options.fps <= 0:
        parser.error("--frames, --tokens-per-frame and --fps must be positive")
    width, name = ask_model(options.longhaul, options.like) if options.like else (options.width, options.model)
    if width < 1:
        parser.error("--width must be positive")
    # No half-written file is left under the final name.
    partial = options.out.with_name(options.out.name + ".tmp")
    count = write(partial, options, width, name)
    partial.replace(options.out)
    print(f"{options.out}: {count} tokens of {width} numbers, {options.dtype}" + (f", for {name}" if name else ""))


if __name__ == "__main__":
    main()
