"""The program that judges, run as a user runs it, and what it writes."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq

from closerlook.core.schemas import VERDICTS
from closerlook.judge.aspects import ASPECTS
from tests.support import REPOSITORY

KEY = "sk-SENTINEL-0123456789abcdef"


def verdict(score="4", **changes):
    return json.dumps({a: {"reason": f"so is {a}", "score": score} for a in ASPECTS} | changes)


def write(folder, count=12, responses=None, **columns):
    ids = [f"q{i}" for i in range(count)]
    instructions = [f"instruction {i}" for i in range(count)]
    texts = responses or [f"response {i}" for i in range(count)]
    pq.write_table(pa.table({"id": ids, "instruction": instructions, **columns}), folder / "evalset.parquet")
    pq.write_table(pa.table({"id": ids[::-1], "text": texts[::-1]}), folder / "responses.parquet")
    return folder


def command(folder, server, *more, out="verdicts.parquet"):
    paths = {"responses": folder / "responses.parquet", "evalset": folder / "evalset.parquet", "out": folder / out}
    flags = [word for name, path in paths.items() for word in (f"--{name}", path)]
    script = [sys.executable, REPOSITORY / "workflow/scripts/judge.py", "--judge", "openai", "--base-url", server.url]
    script += ["--model", "judge", "--cache", folder / "cache.sqlite", *flags, *more]
    return [str(word) for word in script]


def run(folder, server, *more, **options):
    environment = os.environ | {"OPENAI_API_KEY": KEY}
    done = subprocess.run(
        command(folder, server, *more, **options),
        capture_output=True,
        text=True,
        timeout=500,
        env=environment,
        cwd=REPOSITORY,
    )
    assert KEY not in done.stdout + done.stderr
    return done


def rows(folder, out="verdicts.parquet"):
    table = pq.read_table(folder / out)
    assert table.schema.equals(VERDICTS)
    return table.to_pylist()
