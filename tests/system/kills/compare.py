"""Compares the results of two runs of one queue: bit for bit (T1), or within the tolerance of float32 (T2)."""

TOLERANCE = 1e-3  # of log-probabilities, float32
T1_FIELDS = ("status", "text", "token_ids", "logprobs", "finish_reason", "mean_nll", "perplexity", "prompt_tokens",
             "completion_tokens", "error", "job_hash")


def same_bits(reference, result):
    """Returns what differs."""
    return [f"{reference['id']}: {field} is not the same" for field in T1_FIELDS
            if reference.get(field) != result.get(field)]


def known_logprobs(step):
    """By token, of one step of a result."""
    return {**dict(map(tuple, step["top"])), step["id"]: step["logprob"]}


class Tolerant:
    """T2. Sampled tokens may part where a rounding decides, which is so rare that it is counted."""

    def __init__(self):
        self.values = 0
        self.tokens = 0
        self.largest = 0.0
        self.near_ties = 0
        self.sampled_partings = 0
        self.problems = []

    def compare(self, job, reference, result):
        name = job["id"]
        if (reference["status"], reference.get("error")) != (result["status"], result.get("error")):
            self.problems.append(f"{name}: {result['status']} {result.get('error')} instead of {reference['status']}")
        elif reference["status"] == "ok" and job.get("kind") == "score":
            self._scores(name, reference, result)
        elif reference["status"] == "ok":
            self._tokens(job, reference, result)
        if reference.get("prompt_tokens") != result.get("prompt_tokens"):
            self.problems.append(f"{name}: not as many prompt tokens")

    def summary(self):
        return (f"{self.values} log-probabilities and {self.tokens} tokens compared, "
                f"largest difference {self.largest:.1e}, {self.near_ties} near-ties, "
                f"{self.sampled_partings} in sampled jobs")

    def _value(self, what, expected, actual):
        self.values += 1
        self.largest = max(self.largest, abs(expected - actual))
        if not abs(expected - actual) <= TOLERANCE:
            self.problems.append(f"{what}: {actual} instead of {expected}")

    def _scores(self, name, reference, result):
        if len(reference["logprobs"]) != len(result["logprobs"]):
            self.problems.append(f"{name}: {len(result['logprobs'])} scores instead of {len(reference['logprobs'])}")
            return
        for index, pair in enumerate(zip(reference["logprobs"], result["logprobs"])):
            self._value(f"{name}: score {index}", *pair)

    def _tokens(self, job, reference, result):
        steps = list(zip(reference["token_ids"], result["token_ids"], reference["logprobs"], result["logprobs"]))
        for index, (expected, actual, before, now) in enumerate(steps):
            what = f"{job['id']}: token {index}"
            known = known_logprobs(before)
            for token, logprob in now["top"]:
                if token in known:
                    self._value(f"{what}, candidate {token}", known[token], logprob)
            if expected != actual:
                self._parting(job, what, (expected, actual), (known, known_logprobs(now)))
                return  # what follows is not comparable
            self.tokens += 1
            self._value(what, before["logprob"], now["logprob"])
        fields = ("finish_reason", "completion_tokens", "text")
        self.problems += [f"{job['id']}: {field} differs" for field in fields
                          if reference.get(field) != result.get(field)]

    def _parting(self, job, what, tokens, tops):
        self.near_ties += 1
        if any(token not in top for token in tokens for top in tops):
            self.problems.append(f"{what} is {tokens[1]} instead of {tokens[0]}, far apart")
        elif job.get("temperature", 0.0) > 0.0:
            # Noise and log-probabilities are the same in both runs up to rounding, so this was a tie.
            self.sampled_partings += 1
            if self.sampled_partings > 1:
                self.problems.append(f"{what} is {tokens[1]} instead of {tokens[0]}: too often for near-ties")
        elif tops[0][tokens[0]] - tops[0][tokens[1]] >= 2 * TOLERANCE:
            self.problems.append(f"{what} is {tokens[1]} instead of {tokens[0]}, which leads by "
                                 f"{tops[0][tokens[0]] - tops[0][tokens[1]]}")
