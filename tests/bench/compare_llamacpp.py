#!/usr/bin/env python3
"""Times longhaul and llama.cpp on the same GGUF file, cores and prompts, turn by turn.

Four questions: the prefill rate of 512 and of 16384 tokens from empty, and the greedy decode rate
behind each of the two. Every repeat asks llama.cpp and then longhaul, so that both see the same
state of the machine; the table shows medians. Run it with a Python that has llama-cpp-python,
built natively (README.md beside this file says how). Without --longhaul only llama.cpp is timed.
"""

import argparse
import ctypes
import datetime
import hashlib
import json
import os
import pathlib
import platform
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

kDepths = {"512": 512, "16k": 16384}
kDecodeSteps = 32
kBatch = 512
# What longhaul must reach relative to llama.cpp.
kTargets = {"prefill512": 1.5, "prefill16k": 3.0, "decode512": 0.8, "decode16k": 1.5}
kSeed = 7
# Above this share of the used cores' time going to others, ratios mean little: llama.cpp's threads
# wait for each other at every operation, so it loses far more than the stolen share.
kBusyShare = 0.05


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=pathlib.Path, help="a GGUF file")
    parser.add_argument("--longhaul", type=pathlib.Path, help="the longhaul program")
    parser.add_argument("--launcher", default="", help="put before longhaul, e.g. 'mpirun -n 1'")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--depths", nargs="+", choices=kDepths, default=list(kDepths))
    parser.add_argument("--no-llamacpp", action="store_true", help="time longhaul alone")
    parser.add_argument("--json", type=pathlib.Path, help="write every single figure here")
    parser.add_argument("--check", action="store_true",
                        help="exit 1 if a target is missed or the machine was busy")
    arguments = parser.parse_args()
    if arguments.no_llamacpp and not arguments.longhaul:
        parser.error("--no-llamacpp without --longhaul leaves nothing to time")
    if arguments.check and (arguments.no_llamacpp or not arguments.longhaul):
        parser.error("--check compares the two programs, so it needs both")
    if arguments.repeats < 1 or arguments.threads < 1:
        parser.error("--repeats and --threads must be at least 1")
    for path in filter(None, (arguments.model, arguments.longhaul)):
        if not path.is_file():
            parser.error(f"{path} is not a file")
    return arguments


def prompt_ids(count, repeat):
    """Ids differ from repeat to repeat, so nothing can be reused from an earlier prefill."""
    generator = random.Random(kSeed * 1000003 + repeat)
    return [generator.randrange(256, 32000) for _ in range(count)]


class LlamaCpp:
    """llama.cpp through its C interface; per token Python only calls decode and takes a maximum."""

    def __init__(self, model_path, threads, num_ctx):
        import llama_cpp  # only here, so that longhaul can be timed without it
        import numpy
        self._api, self._numpy = llama_cpp, numpy
        # The log function is kept, as llama.cpp holds only a pointer to it.
        self._quiet = llama_cpp.llama_log_callback(lambda level, text, user: None)
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(
            str(model_path).encode(), llama_cpp.llama_model_default_params())
        if not self._model:
            sys.exit(f"llama.cpp cannot load {model_path}")
        self._vocab_size = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self._model))
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = num_ctx
        params.n_batch = params.n_ubatch = kBatch
        params.n_threads = params.n_threads_batch = threads
        if hasattr(params, "flash_attn_type"):
            params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        else:
            params.flash_attn = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            sys.exit("llama.cpp cannot make a context; is there enough memory?")

    def describe(self):
        info = self._api.llama_print_system_info().decode().strip()
        return {"llama-cpp-python": self._api.__version__, "llama.cpp system": info}

    def _clear(self):
        self._api.llama_memory_clear(self._api.llama_get_memory(self._context), True)

    def _feed(self, ids):
        """Computes `ids` behind what is cached and returns the likeliest next id."""
        array = (self._api.llama_token * len(ids))(*ids)
        batch = self._api.llama_batch_get_one(array, len(ids))
        if self._api.llama_decode(self._context, batch) != 0:
            sys.exit("llama.cpp failed to decode")
        logits = self._api.llama_get_logits_ith(self._context, -1)
        return int(self._numpy.ctypeslib.as_array(logits, (self._vocab_size,)).argmax())

    def measure(self, ids):
        """(prefill, decode) in tokens a second."""
        self._clear()
        start = time.perf_counter()
        for begin in range(0, len(ids), kBatch):
            token = self._feed(ids[begin:begin + kBatch])
        prefill_s = time.perf_counter() - start
        steps = []
        for _ in range(kDecodeSteps):
            start = time.perf_counter()
            token = self._feed([token])
            steps.append(time.perf_counter() - start)
        return len(ids) / prefill_s, 1 / statistics.median(steps)


class Longhaul:
    """longhaul as its users run it: a queue file in, results.jsonl out, one process a measurement.

    A small job goes first in the queue, so that page faults and thread starts fall on it, as they
    fall on the warm-up of llama.cpp.
    """

    def __init__(self, program, launcher, model_path, threads):
        self._command = shlex.split(launcher) + [
            str(program.resolve()), "run", "--model", str(model_path), "--threads", str(threads),
            "--dtype", "bf16", "--max-batch", "1", "--quiet"]
        self._versions = {}

    def describe(self):
        return {"longhaul": self._versions, "longhaul command": shlex.join(self._command)}

    def measure(self, ids):
        """(prefill, decode) in tokens a second."""
        jobs = [("warm-up", ids[:32][::-1], 4), ("timed", ids, kDecodeSteps + 1)]
        with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
            queue, output = pathlib.Path(folder, "queue.jsonl"), pathlib.Path(folder, "output")
            queue.write_text("".join(
                json.dumps({"id": name, "kind": "text", "token_ids": tokens,
                            "max_tokens": count, "temperature": 0, "ignore_eos": True}) + "\n"
                for name, tokens, count in jobs))
            done = subprocess.run(
                self._command + ["--queue", str(queue), "--output", str(output)],
                capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"longhaul ended with exit code {done.returncode}:\n{done.stderr}")
            run_file = output / "run.json"
            if run_file.exists():
                self._versions = json.loads(run_file.read_text()).get("versions", {})
            return self._rates(output / "results.jsonl", len(ids))

    @staticmethod
    def _rates(results, prompt_tokens):
        lines = [json.loads(line) for line in results.read_bytes().split(b"\n") if line]
        result = next((line for line in lines if line["id"] == "timed"), None)
        if result is None or result.get("status") == "error":
            sys.exit(f"longhaul gave no result: {result and result['error']}")
        got = (result["prompt_tokens"], result["completion_tokens"])
        if got != (prompt_tokens, kDecodeSteps + 1):
            sys.exit(f"longhaul counted {got[0]} prompt and {got[1]} completion tokens, "
                     f"expected {prompt_tokens} and {kDecodeSteps + 1}")
        return prompt_tokens / result["ttft_s"], 1 / result["tbt_s"]["p50"]


class Interference:
    """The share of some cores' time that neither this process nor its children used."""

    def __init__(self, cores):
        self._cores = cores
        self._start = self._read()

    def _read(self):
        busy_s = 0.0
        for line in pathlib.Path("/proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name in {f"cpu{core}" for core in self._cores}:
                # user nice system (idle iowait) irq softirq steal
                busy_s += sum(int(fields[i]) for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")
        own = os.times()
        own_s = own.user + own.system + own.children_user + own.children_system
        return time.perf_counter(), busy_s - own_s

    def share(self):
        now, busy = self._read()
        return max(0.0, (busy - self._start[1]) / ((now - self._start[0]) * len(self._cores)))


def measure_all(programs, depths, repeats):
    """{program: {question: [one rate a repeat]}}"""
    rates = {name: {} for name in programs}
    for repeat in range(repeats):
        for depth in depths:
            ids = prompt_ids(kDepths[depth], repeat)
            for name, program in programs.items():
                prefill, decode = program.measure(ids)
                rates[name].setdefault(f"prefill{depth}", []).append(prefill)
                rates[name].setdefault(f"decode{depth}", []).append(decode)
                print(f"repeat {repeat + 1}/{repeats}: {name} at {depth}: prefill {prefill:.1f}, "
                      f"decode {decode:.1f} tok/s", file=sys.stderr, flush=True)
    return rates


def describe_machine(cores):
    cpu = platform.processor() or platform.machine()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {"cpu": cpu, "cores_used": cores, "cores_online": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2), "python": platform.python_version(),
            "date": datetime.date.today().isoformat()}


def describe_file(path):
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": digest}


def table(rates, busy):
    """The rows to print and {question: ratio}, where both programs were timed."""
    questions = list(next(iter(rates.values())))
    head = f"{'tok/s, median [min, max]':<25}" + "".join(f"{name:>28}" for name in rates)
    rows, ratios = [head + (f"{'ratio':>8}{'target':>8}" if len(rates) == 2 else "")], {}
    for question in questions:
        row = f"{question:<25}"
        for name in rates:
            values = rates[name][question]
            cell = f"{statistics.median(values):.1f} [{min(values):.1f}, {max(values):.1f}]"
            row += f"{cell:>28}"
        if len(rates) == 2:
            ratios[question] = (statistics.median(rates["longhaul"][question]) /
                                statistics.median(rates["llama.cpp"][question]))
            row += f"{ratios[question]:>8.2f}{kTargets[question]:>8.1f}"
            if not busy:
                row += "  met" if ratios[question] >= kTargets[question] else "  missed"
        rows.append(row)
    return rows, ratios


def main():
    arguments = parse_arguments()
    # Both programs inherit this, so they run on the same cores.
    cores = sorted(os.sched_getaffinity(0))[:arguments.threads]
    if len(cores) < arguments.threads:
        sys.exit(f"{arguments.threads} threads asked for, only {len(cores)} cores allowed")
    os.sched_setaffinity(0, cores)
    machine = describe_machine(cores)
    programs = {}
    if not arguments.no_llamacpp:
        longest = max(kDepths[depth] for depth in arguments.depths)
        programs["llama.cpp"] = LlamaCpp(arguments.model, arguments.threads,
                                         longest + kDecodeSteps + kBatch)
        programs["llama.cpp"].measure(prompt_ids(32, -1))
    if arguments.longhaul:
        programs["longhaul"] = Longhaul(arguments.longhaul, arguments.launcher, arguments.model,
                                        arguments.threads)
    interference = Interference(cores)
    rates = measure_all(programs, arguments.depths, arguments.repeats)
    machine["share_taken_by_others"] = round(interference.share(), 3)
    busy = machine["share_taken_by_others"] > kBusyShare
    rows, ratios = table(rates, busy)
    report = {"machine": machine, "model": describe_file(arguments.model),
              "threads": arguments.threads, "repeats": arguments.repeats,
              "settings": {"llama.cpp": f"flash attention, n_batch = n_ubatch = {kBatch}, f16 KV",
                           "longhaul": "bf16, max-batch 1"},
              "versions": {k: v for p in programs.values() for k, v in p.describe().items()},
              "rates": rates, "ratios": ratios, "targets": kTargets}
    print("\n".join(rows))
    for part in ("machine", "model", "versions"):
        print(f"{part}: {json.dumps(report[part])}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    if busy:
        print(f"NOT A FIGURE TO RECORD: other programs took {machine['share_taken_by_others']:.0%} "
              "of these cores; run it again on a quiet machine")
    if arguments.check and (busy or any(ratios[q] < kTargets[q] for q in ratios)):
        sys.exit(1)


if __name__ == "__main__":
    main()
