"""Finding phrases in an instruction-tuning set: the index beside Python's `in` and pandas' str.contains(regex=False).

2,000 phrases of 1 to 8 words out of 9,229 rows of Alpaca; in every second one a word is replaced, so that about half are held.
For each phrase every method finds the rows that hold it, in the instruction or in the response. Once in these rows, once in
326,000 made of them (repeated; from the first repetition on, 15% of the words are drawn anew). There the two others look up
fewer phrases, and times per phrase are compared. Methods take turns within a repeat; ratios are taken within a repeat.

Indexes are built in a process of their own; its peak memory holds Python, the libraries and the dataset too. Embedding is
measured on a few rows, and the time that all would take follows from it.
"""

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parents[2] / "shared" / "data" / "alpaca_9k.jsonl"
ROWS = 326_000
PHRASES = 2000
FEW = 40
"""Phrases that `in` and pandas look up among 326,000 rows."""
EMBEDDED = 256

Pair = tuple[str, str]
Method = Callable[[str], Any]
"""Gives the rows that hold a phrase, as a list or an array."""


def alpaca() -> list[Pair]:
    """Instruction, with its input, and response."""
    records = [json.loads(line) for line in SHARED.read_text(encoding="utf-8").splitlines()]
    return [("\n\n".join(filter(None, (r["instruction"], r["input"]))), r["output"]) for r in records]


def multiplied(pairs: list[Pair], count: int) -> Iterator[Pair]:
    """So many rows: these, then these again and again with 15% of their words drawn from all words."""
    draw = random.Random(0)
    words = [word for pair in pairs for text in pair for word in text.split(" ")]

    def varied(text: str) -> str:
        return " ".join(draw.choice(words) if draw.random() < 0.15 else word for word in text.split(" "))

    for row in range(count):
        instruction, response = pairs[row % len(pairs)]
        yield (instruction, response) if row < len(pairs) else (varied(instruction), varied(response))


def phrases_of(pairs: list[Pair]) -> list[str]:
    """Runs of 1 to 8 words out of random texts, in every second one a word of another text."""
    draw = random.Random(0)
    found: list[str] = []
    while len(found) < PHRASES:
        words = draw.choice(draw.choice(pairs)).split()
        size = draw.randint(1, 8)
        if len(words) >= size:
            start = draw.randint(0, len(words) - size)
            phrase = words[start : start + size]
            if len(found) % 2:
                phrase[draw.randrange(size)] = draw.choice(draw.choice(draw.choice(pairs)).split() or ["x"])
            found.append(" ".join(phrase))
    return found


def write_dataset(pairs: list[Pair], path: Path) -> None:
    """As the data stage does, without the columns that an index does not need."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": [f"{row:016x}" for row in range(len(pairs))]}
    columns |= {"instruction": [pair[0] for pair in pairs], "response": [pair[1] for pair in pairs]}
    pq.write_table(pa.table(columns), path, compression="zstd")


def build(what: str, dataset: Path, out: Path) -> dict[str, float]:
    """Index a dataset, here; seconds, and the peak memory of this process."""
    from closerlook.trace.exact import SuffixArray
    from closerlook.trace.index import Index, read_instances

    table = read_instances(dataset)
    start = time.perf_counter()
    if what == "exact":
        SuffixArray.build(zip(table["instruction"].to_pylist(), table["response"].to_pylist(), strict=True), out)
    else:
        Index.build(table, out)
    took = time.perf_counter() - start
    return {"seconds": took, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def in_process(*arguments: object) -> dict[str, float]:
    """Run `build` in a process of its own."""
    command = [sys.executable, __file__, "--build", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arguments[0]} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def methods_for(pairs: list[Pair], folder: Path) -> dict[str, Method]:
    """Each finds the rows that hold a phrase."""
    import pandas as pd

    from closerlook.trace.index import Index

    index = Index.open(folder)
    frame = pd.DataFrame(pairs, columns=["instruction", "response"])

    def pandas(phrase: str) -> Any:
        either = frame["instruction"].str.contains(phrase, regex=False) | frame["response"].str.contains(
            phrase, regex=False
        )
        return either.to_numpy().nonzero()[0]

    return {
        "closerlook": index.exact.documents,
        "Python's in": lambda phrase: [row for row, (a, b) in enumerate(pairs) if phrase in a or phrase in b],
        "pandas": pandas,
    }


def searches(
    pairs: list[Pair], folder: Path, phrases: list[str], few: int, repeats: int
) -> dict[str, dict[str, float]]:
    """Median milliseconds per phrase of each method, and the median of how many times faster the index is."""
    methods = methods_for(pairs, folder)
    asked = {name: phrases if name == "closerlook" else phrases[:: len(phrases) // few] for name in methods}
    held = {name: [list(method(phrase)) for phrase in asked["pandas"]] for name, method in methods.items()}
    assert held["closerlook"] == held["Python's in"] == held["pandas"]
    runs = []
    for _ in range(repeats):
        run = {}
        for name, method in methods.items():
            start = time.perf_counter()
            for phrase in asked[name]:
                method(phrase)
            run[name] = (time.perf_counter() - start) / len(asked[name])
            print(f"{len(pairs):8,} rows  {name:12} {run[name] * 1e3:10.4f} ms per phrase", file=sys.stderr, flush=True)
        runs.append(run)
    return {
        name: {
            "milliseconds": 1e3 * statistics.median(run[name] for run in runs),
            "ratio": statistics.median(run[name] / run["closerlook"] for run in runs),
            "phrases": len(asked[name]),
        }
        for name in methods
    }


def embedded_per_second(pairs: list[Pair]) -> float:
    """Rows per second of the default embedder."""
    from closerlook.config.markers import Tracing
    from closerlook.trace.embeddings import embedder_folder, encode, load

    model = load(embedder_folder(Tracing.model_fields["embedder"].default))
    encode(model, ["warm"])
    start = time.perf_counter()
    encode(model, ["\n".join(pair) for pair in pairs[:EMBEDDED]])
    return EMBEDDED / (time.perf_counter() - start)


def measure(pairs: list[Pair], phrases: list[str], few: int, repeats: int) -> dict:
    """Build and search one dataset."""
    size = sum(len(text.encode()) for pair in pairs for text in pair)
    with tempfile.TemporaryDirectory() as name:
        dataset, folder = Path(name) / "data.parquet", Path(name) / "index"
        write_dataset(pairs, dataset)
        builds = {what: in_process(what, dataset, folder) for what in ("exact", "index")}
        on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        found = searches(pairs, folder, phrases, few, repeats)
    return {"rows": len(pairs), "bytes": size, "on_disk": on_disk, "builds": builds, "searches": found}


def tables(results: list[dict], rows_per_second: float) -> list[str]:
    """As Markdown."""
    lines = [
        "| rows | method | phrases | ms per phrase | the index is faster by |",
        "| --: | --- | --: | --: | --: |",
    ]
    for result in results:
        for name, found in result["searches"].items():
            ratio = "" if name == "closerlook" else f"{found['ratio']:,.0f}"
            row = f"{found['phrases']:,} | {found['milliseconds']:,.4f} | {ratio} |"
            lines.append(f"| {result['rows']:,} | {name} | {row}")
    lines += [
        "",
        "| rows | text, MB | built | seconds | MB/s | peak memory, MB | peak / text | on disk, MB |",
        "| --: | --: | --- | --: | --: | --: | --: | --: |",
    ]
    names = {"exact": "exact search alone", "index": "exact, words, BM25"}
    for result in results:
        for what, built in result["builds"].items():
            rate, share = result["bytes"] / 1e6 / built["seconds"], built["peak_bytes"] / result["bytes"]
            disk = f"{result['on_disk'] / 1e6:,.0f}" if what == "index" else ""
            row = f"{result['bytes'] / 1e6:,.0f} | {names[what]} | {built['seconds']:,.1f} | {rate:.1f}"
            lines.append(f"| {result['rows']:,} | {row} | {built['peak_bytes'] / 1e6:,.0f} | {share:.1f} | {disk} |")
    hours = {result["rows"]: result["rows"] / rows_per_second / 3600 for result in results}
    took = ", ".join(f"{hour:.1f} hours for {rows:,}" for rows, hour in hours.items())
    lines += [
        "",
        f"Embedding: {rows_per_second:.1f} rows/s ({EMBEDDED} rows measured), so {took} rows; once per dataset.",
    ]
    return lines


def main() -> None:
    """Measure, and write tracing.json and tracing.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), metavar="DIR", help="folder to write to"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of the larger dataset (default: {ROWS})")
    parser.add_argument("--build", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        what, dataset, out = arguments.build
        print(json.dumps(build(what, Path(dataset), Path(out))))
        return
    if not SHARED.exists():
        print(f"skipped: {SHARED} is not here; it is other people's text and not part of the repository")
        return
    pairs = alpaca()
    phrases = phrases_of(pairs)
    results = [
        measure(pairs, phrases, len(phrases), arguments.repeats),
        measure(list(multiplied(pairs, arguments.rows)), phrases, FEW, arguments.repeats),
    ]
    rows_per_second = embedded_per_second(pairs)
    lines = tables(results, rows_per_second)
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("pydivsufsort", "bm25s", "pandas", "sentence-transformers")
    )
    about = f"{arguments.repeats} repeats; {os.cpu_count()} cores, {platform.machine()}; {libraries}."
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "tracing.md").write_text(f"# Tracing\n\n{__doc__}\n{about}\n\n" + "\n".join(lines) + "\n")
    result = {"results": results, "embedded_rows_per_second": rows_per_second, "repeats": arguments.repeats}
    (arguments.out / "tracing.json").write_text(json.dumps(result, indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
