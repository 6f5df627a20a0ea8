"""A queue of various jobs, the same for the same seed."""
import json
import random

DOCUMENT_WORDS = 450  # about 4 tokens each with the tiny models' tokenizer
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def random_words(rng, count):
    return " ".join("".join(rng.choice(ALPHABET) for _ in range(rng.randint(1, 7))) for _ in range(count))


def make_job(rng, number, documents):
    """One of five kinds in turn; every one of them is worth some steps."""
    job = {"id": f"job-{number}"}
    kind = number % 5
    if kind in (0, 3):  # questions about documents that several jobs share
        job.update(kind="document", path=rng.choice(documents), prompt=random_words(rng, rng.randint(3, 40)),
                   max_tokens=rng.randint(20, 60), logprobs=5)
    elif kind == 1:
        job.update(kind="text", text=random_words(rng, rng.randint(20, 200)), max_tokens=rng.randint(20, 60),
                   logprobs=20, temperature=0.8, seed=rng.randint(0, 2**31))
    elif kind == 2:
        job.update(kind="score", text=random_words(rng, rng.randint(100, 400)))
    else:
        job.update(kind="text", text=random_words(rng, rng.randint(1, 30)), max_tokens=rng.randint(60, 120), logprobs=5)
    if kind != 2:
        job["ignore_eos"] = rng.random() < 0.8
    return job


def write_queue(folder, count, seed):
    """Writes queue.jsonl and its documents into the folder; returns the jobs by id, in the order of the queue.

    One job is bad: its document does not exist.
    """
    rng = random.Random(f"queue {seed}")
    documents = [f"document-{i}.txt" for i in range(max(1, count // 8))]
    for name in documents:
        (folder / name).write_text(random_words(rng, DOCUMENT_WORDS), encoding="utf-8")
    jobs = [make_job(rng, number, documents) for number in range(count - 1)]
    jobs.insert(rng.randrange(count), {"id": "bad", "kind": "document", "path": "no-such-file.txt", "max_tokens": 5})
    (folder / "queue.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs), encoding="utf-8")
    return {job["id"]: job for job in jobs}
