"""What must hold in the output folder and in the checkpoint after every end of a run, however it ended."""
import json
from typing import NamedTuple


class Epoch(NamedTuple):
    """A manifest: what a replica had done after a step."""
    run: int
    epoch: int
    replica: int
    sequences: list
    segments: list


def read_manifest(path):
    """Raises ValueError where the file is torn."""
    header, newline, body = path.read_bytes().partition(b"\n")
    magic, _, size, digest = header.split(b" ")
    if magic != b"longhaul-manifest" or not newline or len(body) != int(size) or len(digest) != 32:
        raise ValueError("its first line does not fit the rest")
    content = json.loads(body)
    return Epoch(content["run"], content["epoch"], content["replica"], content["sequences"], content["segments"])


def read_checkpoint(folder):
    """The manifests of a checkpoint folder, youngest first."""
    epochs = [read_manifest(path) for path in folder.glob("manifest-*.json")]
    return sorted(epochs, key=lambda epoch: epoch[:3], reverse=True)


def saved_positions(folder):
    """Entries per job id that the youngest manifest with the job has saved."""
    positions = {}
    for epoch in read_checkpoint(folder):
        for sequence in epoch.sequences:
            positions.setdefault(sequence["id"], sequence["position"])
    return positions


def read_results(path):
    """Whole lines of results.jsonl, parsed. A torn last line is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]


def checkpoint_problems(folder):
    """Whether everything under a final name is whole, and every manifest stands on files that are there."""
    problems = []
    for path in folder.glob("manifest-*.json"):
        try:
            epoch = read_manifest(path)
        except ValueError as error:
            problems.append(f"{path.name} is not whole: {error}")
            continue
        for segment in epoch.segments:
            file = folder / "segments" / segment["name"]
            size = file.stat().st_size if file.exists() else None
            if size != segment["bytes"]:
                problems.append(f"{path.name} names {file.name} with {segment['bytes']} bytes, there are {size}")
    for file in (folder / "segments").glob("*.h5"):
        with open(file, "rb") as stream:
            if stream.read(8) != b"\x89HDF\r\n\x1a\n":
                problems.append(f"{file.name} is no HDF5 file")
    return problems


class OutputCheck:
    """Follows one output folder over all runs."""

    def __init__(self, program, job_ids):
        self.program = program
        self.job_ids = set(job_ids)
        self.lines = []

    def complete(self):
        return {line["id"] for line in self.lines} == self.job_ids

    def after_run(self, state, orderly):
        """`orderly`: the run ended by itself and not by a kill. Returns what is wrong."""
        output = self.program.output
        problems = []
        lines = read_results(output / "results.jsonl")
        ids = [line["id"] for line in lines]
        problems += [f"the result of {line['id']} has gone or changed" for line in self.lines if line not in lines]
        problems += [f"{name} has {ids.count(name)} results" for name in sorted(set(ids)) if ids.count(name) > 1]
        problems += [f"{name} is no job" for name in sorted(set(ids) - self.job_ids)]
        self.lines = lines
        for name in ("state.json", "run.json", "identity.json"):
            if (output / name).exists():
                json.loads((output / name).read_text(encoding="utf-8"))
        problems += checkpoint_problems(self.program.checkpoint)
        if orderly:
            problems += self._after_orderly_end(state)
        return problems

    def _after_orderly_end(self, state):
        output = self.program.output
        problems = [f"{path} was left behind" for path in output.rglob("*.tmp")]
        expected = "complete" if self.complete() else "requeue"
        if state.get("state") != expected:
            problems.append(f"state.json says {state.get('state')}, but the queue is {expected}")
        if self.complete() and self.program.checkpoint.exists():
            problems.append("the checkpoint is there although all jobs have results")
        return problems
