#!/usr/bin/env python3
"""Checks the include rules of the tree: layers, owners of foreign headers, include strings, size.

Usage: check_layers.py [--root DIR] [--self-test]

Layers    a folder includes only itself and the folders that LAYERS names for it
Owners    a foreign header (MPI, HDF5, CUDA, ...) is included only by the folder that wraps it
Strings   quoted includes start with a folder of the tree; ours are never included with <>
Headers   every header has #pragma once
Size      no source file is longer than MAX_LINES lines

--self-test builds small trees with one violation each and proves that every one is reported.
"""
import argparse
import pathlib
import re
import sys
import tempfile

MAX_LINES = 400
LIB = ["base", "device", "comm", "text", "video", "io", "schedule", "kv", "model", "engine", "report"]
EVERYTHING = set(LIB) | {"kernels"}

# What each folder may include besides itself. Standard library and owned headers are apart.
LAYERS = {
    "base": set(),
    "device": {"base"},
    "kernels": {"base", "device"},
    "comm": {"base", "device"},
    "text": {"base"},
    "video": {"base"},
    "io": {"base"},
    "schedule": {"base"},
    "kv": {"base", "device", "kernels", "schedule"},
    "model": {"base", "device", "kernels", "io"},
    "engine": EVERYTHING,
    "report": {"base", "io"},
    "app": EVERYTHING,
    # Kernel tests run on a bare GPU host: no MPI, HDF5, Boost.
    "tests/kernels": {"base", "device", "kernels", "support"},
    "tests": EVERYTHING | {"app", "support", "unit", "kernels", "ranks", "system", "bench", "fuzz"},
}

# (pattern of the header, its owner folders, what to do instead)
OWNERS = [
    (r"mpi\.h$|mpi-ext\.h$", ["lib/comm"], "use comm::Communicator"),
    (r"nccl\.h$", ["lib/comm"], "use comm::Communicator"),
    (r"hdf5(_hl)?\.h$|H5\w*\.h$", ["lib/io"], "use the HDF5 handles of lib/io"),
    (r"cuda|cublas|cusolver|cooperative_groups|nvtx3/|nvToolsExt|cub/|cutlass/|cute/",
     ["lib/device", "kernels/cuda"], "use the handles of lib/device"),
    (r"libav\w+/|libsw\w+/", ["lib/video"], "use the decoder of lib/video"),
    (r"boost/program_options", ["app"], "take a RunOptions"),
    (r"(oneapi/dnnl/)?dnnl", ["kernels/cpu"], "call the kernel contract"),
]

SOURCES = {".cpp", ".hpp", ".cu", ".cuh"}
HEADERS = {".hpp", ".cuh"}
SCRIPTS = {".py", ".sh", ".cmake"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
PRAGMA_ONCE = re.compile(r"^\s*#\s*pragma\s+once\s*$", re.MULTILINE)


def layer_of(path):
    """The key of LAYERS for a file, given its path relative to the root; None outside the tree."""
    parts = path.parts
    if parts[0] == "lib":
        return parts[1] if len(parts) > 2 else None
    if parts[0] == "tests":
        return "tests/kernels" if parts[1] == "kernels" else "tests"
    return parts[0] if parts[0] in ("app", "kernels") else None


def under(path, folders):
    return any(path.as_posix().startswith(folder + "/") for folder in folders)


def check_include(path, layer, bracket, name):
    """Yields what is wrong with one include line."""
    folder = name.split("/")[0] if "/" in name else ""
    ours = folder in EVERYTHING or folder == "app"
    for pattern, owners, remedy in OWNERS:
        if not ours and re.match(pattern, name) and not under(path, owners):
            yield f"includes {name}, which only {' and '.join(owners)} may: {remedy}"
            return
    if bracket == "<":
        if ours:
            yield f'includes <{name}>: our own headers are included with quotes, "{name}"'
        return
    if ".." in name.split("/"):
        yield f'includes "{name}": name the file from its folder on, without ..'
    elif folder not in LAYERS["tests"]:
        yield f'includes "{name}": the string must start with a folder (such as "base/error.hpp")'
    elif folder != layer and folder not in LAYERS[layer]:
        allowed = ", ".join(sorted(LAYERS[layer])) or "nothing but the standard library"
        yield f'includes "{name}": {layer} may use only itself and {allowed}'


def check_file(root, path):
    """Yields (line, message) for one file."""
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        yield MAX_LINES + 1, f"has {len(lines)} lines; split it, {MAX_LINES} is the most"
    if path.suffix not in SOURCES:
        return
    if path.suffix in HEADERS and not PRAGMA_ONCE.search(text):
        yield 1, "has no #pragma once"
    layer = layer_of(path)
    if layer is None:
        return
    if layer not in LAYERS:
        yield 1, f"stands in lib/{layer}, a folder without a place in the layer order (LAYERS)"
        return
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if match:
            for message in check_include(path, layer, *match.groups()):
                yield number, message


def check_tree(root):
    """Returns (number of files, list of 'path:line: message')."""
    count, problems = 0, []
    for top in ("app", "lib", "kernels", "tests", "scripts"):
        for full in sorted((root / top).rglob("*")):
            if full.suffix in SOURCES | SCRIPTS and full.is_file():
                count += 1
                path = full.relative_to(root)
                problems += [f"{path}:{line}: {text}" for line, text in check_file(root, path)]
    return count, problems


ONCE = "#pragma once\n"
GOOD = {
    "lib/base/error.hpp": ONCE + "#include <string>\n",
    "lib/kv/pool.hpp": ONCE + '#include "base/error.hpp"\n#include "kernels/attention.hpp"\n',
    "lib/comm/mpi_transport.cpp": "#include <mpi.h>\n",
    "lib/engine/run.cpp": '#include "comm/mpi.hpp"\n#include "model/m.hpp"\n#include "io/queue.hpp"\n',
    "kernels/cpu/gemm.cpp": '#include <oneapi/dnnl/dnnl.hpp>\n#include "kernels/gemm.hpp"\n',
    "kernels/cuda/gemm.cu": "#include <cublasLt.h>\n#include <cuda_runtime.h>\n",
    "app/options.cpp": "#include <boost/program_options.hpp>\n#include \"engine/run.hpp\"\n",
    "tests/unit/kv/pool_test.cpp": '#include "kv/pool.hpp"\n#include "support/tolerance.hpp"\n',
}
# path, content, a part of the expected message
BAD = [
    ("lib/base/a.cpp", '#include "device/stream.hpp"\n', "base may use only"),
    ("lib/base/sub/a.cpp", '#include "io/x.hpp"\n', "base may use only"),
    ("lib/text/a.cpp", '#include "io/x.hpp"\n', "text may use only"),
    ("lib/io/a.hpp", ONCE + '#  include "comm/x.hpp"\n', "io may use only"),
    ("lib/schedule/a.cpp", '#include "kv/x.hpp"\n', "schedule may use only"),
    ("lib/model/a.cpp", '#include "comm/x.hpp"\n', "model may use only"),
    ("lib/kv/a.cpp", '#include "model/x.hpp"\n', "kv may use only"),
    ("lib/comm/a.cpp", '#include "kernels/x.hpp"\n', "comm may use only"),
    ("lib/engine/a.cpp", '#include "app/x.hpp"\n', "engine may use only"),
    ("lib/report/a.cpp", '#include "engine/x.hpp"\n', "report may use only"),
    ("kernels/cpu/a.cpp", '#include "kv/x.hpp"\n', "kernels may use only"),
    ("tests/kernels/a_test.cpp", '#include "engine/x.hpp"\n', "tests/kernels may use only"),
    ("lib/extra/a.cpp", "", "without a place in the layer order"),
    ("lib/kv/a.cpp", "#include <mpi.h>\n", "only lib/comm may"),
    ("tests/ranks/a_test.cpp", "#include <mpi.h>\n", "only lib/comm may"),
    ("lib/engine/a.cpp", '#include "nccl.h"\n', "only lib/comm may"),
    ("lib/model/a.cpp", "#include <hdf5.h>\n", "only lib/io may"),
    ("app/a.cpp", "#include <H5Cpp.h>\n", "only lib/io may"),
    ("kernels/a.cpp", "#include <cuda_runtime.h>\n", "only lib/device and kernels/cuda may"),
    ("lib/comm/a.cpp", "#include <cublas_v2.h>\n", "only lib/device and kernels/cuda may"),
    ("lib/io/a.cpp", "#include <libavcodec/avcodec.h>\n", "only lib/video may"),
    ("lib/base/a.cpp", "#include <boost/program_options.hpp>\n", "only app may"),
    ("kernels/reference/a.cpp", "#include <dnnl.hpp>\n", "only kernels/cpu may"),
    ("lib/kv/a.cpp", '#include "pool.hpp"\n', "must start with a folder"),
    ("lib/kv/a.cpp", '#include "../base/error.hpp"\n', "without .."),
    ("lib/kv/a.cpp", "#include <base/error.hpp>\n", "included with quotes"),
    ("lib/kv/a.hpp", "#include <string>\n", "no #pragma once"),
    ("kernels/cuda/detail/a.cuh", "// #pragma once\n", "no #pragma once"),
    ("app/a.cpp", "\n" * (MAX_LINES + 1), "split it"),
    ("scripts/a.py", "\n" * (MAX_LINES + 1), "split it"),
]


def report_of(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content, encoding="utf-8")
        return check_tree(root)[1]


def self_test():
    failures = [f"a clean tree is reported: {line}" for line in report_of(GOOD)]
    for path, content, expected in BAD:
        found = report_of({**GOOD, path: content})
        if len(found) != 1 or expected not in found[0] or not found[0].startswith(path):
            failures.append(f"{path} with {content[:60]!r}: expected '{expected}', got {found}")
    for line in failures:
        print(line, file=sys.stderr)
    print(f"check_layers self-test: {len(BAD)} violations tried, {len(failures)} failures")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[1])
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    count, problems = check_tree(options.root.resolve())
    for line in problems:
        print(line, file=sys.stderr)
    print(f"check_layers: {count} files, {len(problems)} problems")
    if count == 0:
        print(f"no source files under {options.root}: wrong --root?", file=sys.stderr)
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
