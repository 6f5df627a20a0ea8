"""Counts the entries of sequences that runs have to compute, so that what is computed again is known."""
import collections


class Accounting:
    """Knows how long the sequences of a queue are, from the results of an uninterrupted run."""

    def __init__(self, jobs, reference):
        self.lengths = {}
        self.document = {}
        self.cuts = collections.defaultdict(int)  # how much of a document its jobs share
        for name, job in jobs.items():
            result = reference[name]
            if result["status"] != "ok":
                continue
            # The last token of an answer is not fed back.
            self.lengths[name] = result["prompt_tokens"] + max(0, result["completion_tokens"] - 1)
            if "path" in job:
                self.document[name] = job["path"]
                self.cuts[job["path"]] = max(self.cuts[job["path"]], result["prefill"]["shared_tokens"])

    def needed(self, done_before, positions_before, done_after, positions_after):
        """Entries that a run between two states has to compute: `done` are ids with a result, `positions` entries per
        saved sequence. What jobs share counts once, unless the last of them had ended before.
        """
        total = 0
        shared = collections.defaultdict(lambda: (0, 0))
        for name, length in self.lengths.items():
            if name in done_before:
                continue
            begin = positions_before.get(name, 0)
            end = length if name in done_after else max(begin, positions_after.get(name, 0))
            document = self.document.get(name)
            cut = self.cuts[document] if document else 0
            total += max(0, end - max(begin, cut))
            if document:
                known, wanted = shared[document]
                shared[document] = (max(known, min(begin, cut)), max(wanted, min(end, cut)))
        return total + sum(max(0, wanted - known) for known, wanted in shared.values())
