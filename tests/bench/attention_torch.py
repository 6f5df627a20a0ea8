#!/usr/bin/env python3
"""Attention of longhaul beside PyTorch's (cuDNN, FlashAttention-2) on one GPU, turn by turn.

bench_attention_cuda names the shapes and runs as a child process that times its own calls on request; both programs hold their
tensors of a shape, and never compute at the same time. The rules are the same for every side, as this program asks all of them
in the same way: a host clock around synchronised calls.

burst      rest, warm-up calls, single calls: ours, cuDNN, ours, cuDNN; the median of all single calls
sustained  after a lead-in of the side that comes last, calls back to back for some time each: ours, cuDNN, ours, cuDNN without
           a rest between; the mean. Equal in time, not in number, so that a slow side does not heat the GPU for longer.
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import time

kBackends = {"cudnn": "CUDNN_ATTENTION", "fa2": "FLASH_ATTENTION"}
kRestSeconds = 0.25
kLeadInSeconds = 0.1
kSingleCalls = 5
# A longer call is at the power limit by itself; fewer of them say the same.
kLongCallSeconds = 0.05
kSingleLongCalls = 3
kLeastSustainedCalls = 3


class NotAvailable(Exception):
    """A side cannot do this shape."""


class Ours:
    """bench_attention_cuda --serve; attention_server.hpp describes what is said."""

    name = "ours"

    def __init__(self, program, path):
        self._child = subprocess.Popen([program, "--serve", "--path", path], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True, bufsize=1)
        try:
            self.gpu = self._answer()  # name under "gpu", and "uuid"
        except NotAvailable as reason:
            sys.exit(f"{program}: {reason}")
        self.path = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._child.stdin.close()
        self._child.wait()

    def _answer(self):
        line = self._child.stdout.readline()
        if not line:
            sys.exit(f"bench_attention_cuda ended with code {self._child.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise NotAvailable(answer["error"])
        return answer

    def _ask(self, request):
        try:
            self._child.stdin.write(request + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # the missing answer says it
        return self._answer()

    def open(self, case):
        self.path = None
        self.path = self._ask(f"open {case['name']}")["path"]

    def close(self):
        self._ask("close")

    def times(self, count, calls):
        return self._ask(f"time {count} {calls}")["seconds"]


class Tensors:
    """What all PyTorch sides attend to."""

    def __init__(self, torch, case):
        form = {"device": "cuda", "dtype": torch.bfloat16}
        self.queries = torch.randn(1, case["num_heads"], case["rows"], case["dim"], **form)
        self.keys = torch.randn(1, case["num_kv_heads"], case["slots"], case["dim"], **form)
        self.values = torch.randn_like(self.keys)
        self.causal = case["causal"]


class Torch:
    """scaled_dot_product_attention with one backend."""

    def __init__(self, torch, name):
        from torch.nn import attention

        self.name = name
        self._torch = torch
        self._backend = getattr(attention.SDPBackend, kBackends[name])
        self._choose = attention.sdpa_kernel
        self.tensors = None

    def times(self, count, calls):
        """`count` times the seconds of a call, each the mean of `calls` back to back."""
        try:
            with self._choose(self._backend):
                return [self._seconds(calls) for _ in range(count)]
        except RuntimeError as error:
            raise NotAvailable(str(error).splitlines()[0]) from error

    def _seconds(self, calls):
        attend, at = self._torch.nn.functional.scaled_dot_product_attention, self.tensors
        self._torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(calls):
            attend(at.queries, at.keys, at.values, is_causal=at.causal, enable_gqa=True)
        self._torch.cuda.synchronize()
        return (time.perf_counter() - begin) / calls


def estimate(sides, reasons):
    """Seconds of a call of each side that can do the shape; the others get a reason."""
    seconds = {}
    for side in sides:
        try:
            side.times(1, 1)  # plans, allocations
            seconds[side] = side.times(1, 2)[0]
        except NotAvailable as reason:
            reasons[side.name] = str(reason)
    return seconds


def measure(seconds, turns, sustained_seconds):
    """For each side its name to {"burst": single calls, "sustained": means} in seconds; `seconds` are estimates."""
    found = {side.name: {"burst": [], "sustained": []} for side in seconds}
    is_long = max(seconds.values()) > kLongCallSeconds
    for _ in range(turns):
        for side in seconds:
            time.sleep(kRestSeconds)
            side.times(1, 1 if is_long else 2)
            found[side.name]["burst"] += side.times(kSingleLongCalls if is_long else kSingleCalls, 1)
    last = list(seconds)[-1]
    last.times(1, max(1, int(kLeadInSeconds / seconds[last])))
    for _ in range(turns):
        for side, each in seconds.items():
            if not is_long:
                side.times(1, 1)  # the GPU turns to another process
            calls = max(kLeastSustainedCalls, int(sustained_seconds / each))
            found[side.name]["sustained"] += side.times(1, calls)
    return found


def rates(found, work):
    """Burst and sustained of each side, in the case's unit."""
    return {name: {"burst": work / statistics.median(times["burst"]) * 1e-12,
                   "sustained": work / statistics.mean(times["sustained"]) * 1e-12}
            for name, times in found.items()}


def figures(side_rates, state, digits):
    """burst ours  718.0  cudnn  607.0  1.18 x"""
    texts = []
    for name, rate in side_rates.items():
        text = f"{name} {rate[state]:6.{digits}f}"
        if name != "ours" and "ours" in side_rates:
            text += f" {side_rates['ours'][state] / rate[state]:5.2f} x"
        texts.append(text)
    return f"{state} {'  '.join(texts)}"


def describe(row):
    text = f"{row['name']:<34} {row['unit']:<7} {row['path'] or '-':<6} "
    if row["rates"]:
        digits = 2 if row["unit"] == "TB/s" else 1
        text += " | ".join(figures(row["rates"], state, digits) for state in ("burst", "sustained"))
    return text + "".join(f"; {name} not available: {reason[:80]}" for name, reason in row["not_available"].items())


def compare(case, ours, peers, make_tensors, options):
    """One shape; memory of all sides is free again afterwards."""
    reasons = {}
    sides = []
    tensors = None
    try:
        try:
            ours.open(case)
            sides.append(ours)
        except NotAvailable as reason:
            reasons[ours.name] = str(reason)
        try:
            tensors = make_tensors(case)
            sides += peers
        except RuntimeError as error:
            reasons |= {peer.name: str(error).splitlines()[0] for peer in peers}
        for peer in peers:
            peer.tensors = tensors
        seconds = estimate(sides, reasons)
        try:
            found = measure(seconds, options.turns, options.seconds) if seconds else {}
        except NotAvailable as reason:  # memory that an estimate found free may be taken since
            found, reasons["all"] = {}, str(reason)
    finally:
        for peer in peers:
            peer.tensors = None
    ours.close()
    return {"name": case["name"], "unit": case["unit"], "work": case["work"], "path": ours.path,
            "rates": rates(found, case["work"]), "seconds": found, "not_available": reasons}


def load_torch():
    try:
        import torch
    except ImportError as error:
        sys.exit(f"PyTorch is needed: {error}")
    if not torch.cuda.is_available():
        sys.exit("no GPU")
    return torch


def expect_same_gpu(torch, gpu):
    """Both programs take the first GPU they see."""
    uuid = str(getattr(torch.cuda.get_device_properties(0), "uuid", "")).removeprefix("GPU-").replace("-", "").lower()
    if len(uuid) == 32 and uuid != gpu["uuid"]:
        sys.exit(f"PyTorch computes on GPU {uuid}, bench_attention_cuda on {gpu['uuid']}")


def list_cases(program, only):
    lines = subprocess.run([program, "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    cases = [case for case in map(json.loads, lines) if case["peer"] and only in case["name"]]
    if not cases:
        sys.exit(f"no shape of the comparison has {only!r} in its name; {program} --list names them (\"peer\": true)")
    return cases


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", required=True, type=pathlib.Path, help="the program bench_attention_cuda")
    parser.add_argument("--backends", default="cudnn", help="of PyTorch, with commas: cudnn, fa2 (default cudnn)")
    parser.add_argument("--path", choices=("auto", "mma"), default="auto",
                        help="mma: ours with the kernel of sm_80, FlashAttention-2's counterpart")
    parser.add_argument("--only", default="", help="shapes whose name has this text in it")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS",
                        help="starts no shape later than this")
    parser.add_argument("--turns", type=int, default=2, help="of each side, per shape (default 2)")
    parser.add_argument("--seconds", type=float, default=0.4, help="of a sustained run (default 0.4)")
    parser.add_argument("--json", type=pathlib.Path, help="writes every single time here, after each shape")
    options = parser.parse_args()
    options.backends = options.backends.split(",")
    for name in options.backends:
        if name not in kBackends:
            parser.error(f"--backends {name}: known are {', '.join(kBackends)}")
    if options.turns < 1 or options.seconds <= 0:
        parser.error("--turns must be at least 1 and --seconds positive")
    if not options.beside.is_file():
        parser.error(f"--beside {options.beside} is not a file")
    return options


def main():
    options = parse_arguments()
    program = str(options.beside.resolve())
    cases = list_cases(program, options.only)
    begin = time.monotonic()
    torch = load_torch()
    peers = [Torch(torch, name) for name in options.backends]
    with Ours(program, options.path) as ours:
        expect_same_gpu(torch, ours.gpu)
        report = {"date": datetime.date.today().isoformat(), "gpu": ours.gpu["gpu"], "torch": torch.__version__,
                  "cudnn": torch.backends.cudnn.version(), "asked_path": options.path, "turns": options.turns,
                  "sustained_seconds": options.seconds, "shapes": [], "left_out": []}
        print(f"{report['gpu']}, PyTorch {report['torch']}, cuDNN {report['cudnn']}; ratios are ours over theirs")
        for case in cases:
            if time.monotonic() - begin > options.budget:
                report["left_out"].append(case["name"])
            else:
                row = compare(case, ours, peers, lambda at: Tensors(torch, at), options)
                torch.cuda.empty_cache()
                print(describe(row), flush=True)
                report["shapes"].append(row)
            report["seconds"] = time.monotonic() - begin
            if options.json:
                options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{len(report['shapes'])} shapes in {report['seconds']:.0f} s", end="")
    print(f"; over the budget: {', '.join(report['left_out'])}" if report["left_out"] else "")


if __name__ == "__main__":
    main()
