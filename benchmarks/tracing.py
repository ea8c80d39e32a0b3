"""Finding phrases in an instruction-tuning set: the index compared with Python's `in` and pandas' str.contains(regex=False).

2,000 phrases of 1 to 8 words from 9,229 rows of Alpaca; in every second one a word is replaced, so about half of them occur. For
each phrase every method finds the rows that contain it, in the instruction or in the response: first in these rows, then in
326,000 rows made of them (repeated; after the first repetition, 15% of the words are drawn anew). In the larger set the two
others look up fewer phrases, and times per phrase are compared. Methods take turns within a repeat; ratios are taken within a
repeat.

Indexes are built in a process of their own, whose peak memory includes Python, the libraries and the dataset. Embedding is
measured on a few rows, from which the time for all is estimated.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import (
    SHARED,
    expect_shared,
    in_process,
    instruction_of,
    make_parser,
    medians,
    peak_gb,
    read_jsonl,
    report,
    setting,
    table,
    write,
)

ALPACA = SHARED / "alpaca_9k.jsonl"
ROWS = 326_000
PHRASES = 2000
FEW = 40
"""Phrases that `in` and pandas look up among 326,000 rows."""
EMBEDDED = 256

Pair = tuple[str, str]
Method = Callable[[str], Any]
"""Returns the rows that contain a phrase, as a list or an array."""


def alpaca() -> list[Pair]:
    """Instruction, with its input, and response of each row."""
    return [(instruction_of(row), row["output"]) for row in read_jsonl(ALPACA)]


def multiplied(pairs: list[Pair], count: int) -> Iterator[Pair]:
    """`count` rows: the given ones, then repetitions of them in which 15% of the words are drawn from all words."""
    draw = random.Random(0)
    words = [word for pair in pairs for text in pair for word in text.split(" ")]

    def varied(text: str) -> str:
        return " ".join(draw.choice(words) if draw.random() < 0.15 else word for word in text.split(" "))

    for row in range(count):
        instruction, response = pairs[row % len(pairs)]
        yield (instruction, response) if row < len(pairs) else (varied(instruction), varied(response))


def phrases_of(pairs: list[Pair]) -> list[str]:
    """Runs of 1 to 8 words from random texts; every second one has a word of another text."""
    draw = random.Random(0)
    phrases: list[str] = []
    while len(phrases) < PHRASES:
        words = draw.choice(draw.choice(pairs)).split()
        size = draw.randint(1, 8)
        if len(words) >= size:
            start = draw.randint(0, len(words) - size)
            phrase = words[start : start + size]
            if len(phrases) % 2:
                phrase[draw.randrange(size)] = draw.choice(draw.choice(draw.choice(pairs)).split() or ["x"])
            phrases.append(" ".join(phrase))
    return phrases


def write_dataset(pairs: list[Pair], path: Path) -> None:
    """Write the columns of a dataset that an index needs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"id": [f"{row:016x}" for row in range(len(pairs))]}
    columns |= {"instruction": [pair[0] for pair in pairs], "response": [pair[1] for pair in pairs]}
    pq.write_table(pa.table(columns), path, compression="zstd")


def build(kind: str, dataset: Path, out: Path) -> dict[str, float]:
    """Index a dataset in this process; returns the seconds, and the peak memory in bytes."""
    from closerlook.trace.exact import SuffixArray
    from closerlook.trace.index import Index, read_instances

    table = read_instances(dataset)
    start = time.perf_counter()
    if kind == "exact":
        SuffixArray.build(zip(table["instruction"].to_pylist(), table["response"].to_pylist(), strict=True), out)
    else:
        Index.build(table, out)
    return {"seconds": time.perf_counter() - start, "peak_bytes": peak_gb() * 2**30}


def methods_for(pairs: list[Pair], folder: Path) -> dict[str, Method]:
    """The methods that are compared."""
    import pandas as pd

    from closerlook.trace.index import Index

    index = Index(folder)
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
    queries = {name: phrases if name == "closerlook" else phrases[:: len(phrases) // few] for name in methods}
    rows = {name: [list(method(phrase)) for phrase in queries["pandas"]] for name, method in methods.items()}
    assert rows["closerlook"] == rows["Python's in"] == rows["pandas"]
    runs = []
    for _ in range(repeats):
        run = {}
        for name, method in methods.items():
            start = time.perf_counter()
            for phrase in queries[name]:
                method(phrase)
            run[name] = (time.perf_counter() - start) / len(queries[name])
        report(f"{len(pairs):,} rows, seconds per phrase", run)
        runs.append(run)
    seconds = medians(runs, lambda run, name: run[name])
    ratios = medians(runs, lambda run, name: run[name] / run["closerlook"])
    return {
        name: {"milliseconds": 1e3 * seconds[name], "ratio": ratios[name], "phrases": len(queries[name])}
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
        builds = {kind: in_process(kind, __file__, "--build", kind, dataset, folder) for kind in ("exact", "index")}
        on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        found = searches(pairs, folder, phrases, few, repeats)
    return {"rows": len(pairs), "bytes": size, "on_disk": on_disk, "builds": builds, "searches": found}


def tables(results: list[dict], rows_per_second: float) -> list[str]:
    """Lines of Markdown."""
    search_rows, build_rows = [], []
    kinds = {"exact": "exact search alone", "index": "exact, words, BM25"}
    for result in results:
        number, size = f"{result['rows']:,}", result["bytes"]
        for name, search in result["searches"].items():
            ratio = "" if name == "closerlook" else f"{search['ratio']:,.0f}"
            search_rows.append([number, name, f"{search['phrases']:,}", f"{search['milliseconds']:,.4f}", ratio])
        for kind, built in result["builds"].items():
            seconds, peak = built["seconds"], built["peak_bytes"]
            disk = f"{result['on_disk'] / 1e6:,.0f}" if kind == "index" else ""
            speed = [f"{size / 1e6:,.0f}", kinds[kind], f"{seconds:,.1f}", f"{size / 1e6 / seconds:.1f}"]
            build_rows.append([number, *speed, f"{peak / 1e6:,.0f}", f"{peak / size:.1f}", disk])
    build_header = ["rows", "text, MB", "built", "seconds", "MB/s", "peak memory, MB", "peak / text", "on disk, MB"]
    hours = ", ".join(f"{r['rows'] / rows_per_second / 3600:.1f} hours for {r['rows']:,}" for r in results)
    return [
        *table("rlrrr", ["rows", "method", "phrases", "ms per phrase", "the index is faster by"], search_rows),
        "",
        *table("rrlrrrrr", build_header, build_rows),
        "",
        f"Embedding: {rows_per_second:.1f} rows/s ({EMBEDDED} rows measured), so {hours} rows; once per dataset.",
    ]


def main() -> None:
    """Measure, and write the tables."""
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the larger dataset (default: {ROWS})")
    parser.add_argument("--build", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        kind, dataset, out = arguments.build
        print(json.dumps(build(kind, Path(dataset), Path(out))))
        return
    expect_shared(ALPACA)
    pairs = alpaca()
    phrases = phrases_of(pairs)
    results = [
        measure(pairs, phrases, len(phrases), arguments.repeats),
        measure(list(multiplied(pairs, arguments.rows)), phrases, FEW, arguments.repeats),
    ]
    rows_per_second = embedded_per_second(pairs)
    about = setting(arguments.repeats, "pydivsufsort", "bm25s", "pandas", "sentence-transformers")
    result = {"results": results, "embedded_rows_per_second": rows_per_second, "repeats": arguments.repeats}
    write(arguments.out, "tracing", __doc__, about, tables(results, rows_per_second), result)


if __name__ == "__main__":
    main()
