#!/usr/bin/env python3
"""Writes the documents of inputs/demo.jsonl to inputs/demo/*.txt: parts of the King James Bible
(public domain) as Debian's package bible-kjv prints them, verse references taken off.

Usage: make_demo_documents.py [--whole FILE]
    --whole FILE   write the whole text (4.1 MB, about a million tokens) to FILE instead

Files that are already right are left alone.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

INPUTS = pathlib.Path(__file__).resolve().parents[1] / "inputs"

# file, title, verses; about 4.2 characters per token
DOCUMENTS = [
    ("jonah.txt", "The Book of Jonah", "jonah1:1-jonah4:11"),
    ("ruth.txt", "The Book of Ruth", "ruth1:1-ruth4:22"),
    ("esther.txt", "The Book of Esther, chapters 1 to 4", "esther1:1-esther4:17"),
    ("creation.txt", "The First Book of Moses, called Genesis, chapters 1 to 3", "gen1:1-gen3:24"),
]
WHOLE = "gen1:1-rev22:21"
VERSE = re.compile(r"^(\w*?[A-Za-z])(\d+):(\d+) (.+)$")


def verses(selection):
    """Yields (book, chapter, text). bible -f prints 'Ruth1:1 Now it came to pass ...' per verse."""
    try:
        run = subprocess.run(["bible", "-f", selection], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, check=True)
    except FileNotFoundError:
        sys.exit("error: the program 'bible' is missing; scripts/setup.sh installs it (bible-kjv)")
    for line in run.stdout.splitlines():
        match = VERSE.match(line)
        if match:
            yield match[1], int(match[2]), match[4].strip()
        elif line.strip():
            sys.exit(f"error: unexpected output of bible -f {selection}: {line[:80]!r}")


def document(title, selection):
    """The title, then per chapter a heading and its verses as one paragraph."""
    chapters = {}
    for book, chapter, text in verses(selection):
        chapters.setdefault((book, chapter), []).append(text)
    if not chapters:
        sys.exit(f"error: bible -f {selection} printed nothing")
    one_book = len({book for book, _ in chapters}) == 1
    parts = [title]
    for (book, chapter), texts in chapters.items():
        parts.append(f"Chapter {chapter}" if one_book else f"{book} {chapter}")
        parts.append(" ".join(texts))
    return "\n\n".join(parts) + "\n"


def write(path, text):
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    partial.rename(path)
    print(f"{path}: {len(text)} characters, about {round(len(text) / 4200, 1)} k tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whole", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    if options.whole:
        write(options.whole, document("The King James Bible", WHOLE))
        return
    for name, title, selection in DOCUMENTS:
        write(INPUTS / "demo" / name, document(title, selection))
    for line in (INPUTS / "demo.jsonl").read_text(encoding="utf-8").splitlines():
        path = INPUTS / json.loads(line)["path"]
        if not path.is_file():
            sys.exit(f"error: inputs/demo.jsonl names {path}, which this script does not write")


if __name__ == "__main__":
    main()
