"""One cell's answers on one evalset, as the page shows them: texts, tokens, scores, marked spans, words, and where they lead."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from closerlook.core import layout
from closerlook.core.schemas import BORROWING, RANKERS, RESPONSES, SHIFT, SPANS, TRACE, VERDICTS, WORDS
from closerlook.report.page.pack import quantized
from closerlook.report.page.reading import Folder, by_id
from closerlook.report.page.tokens import token_columns
from closerlook.report.tables.table import Row

OF_WORDS = ("id", "start", "end", "instances", "longest", "longest_start", "longest_end", "candidates")
"""Columns of WORDS that the page shows; of rankings only the fused one."""
CENTI = 100  # similarities are kept in hundredths
DECI = 10  # BM25 scores in tenths

Columns = dict[str, np.ndarray]
Numbers = Callable[[str], int]
"""From an instance's id to its number among those that the page shows of the cell's dataset."""


def cell_file(
    folder: Folder, row: Row, text_of: Callable[[int], str], number: Numbers
) -> tuple[dict[str, Any], Columns] | None:
    """Content and columns of the data file for a row of grid.csv; None where it has no responses."""
    at = (str(row["cell"]), str(row["evalset"]))
    responses = folder.parquet(layout.responses(*at), RESPONSES)
    if responses is None:
        return None
    ids, texts = responses["id"].to_pylist(), responses["text"].to_pylist()
    content: dict[str, Any] = {"ids": ids, "texts": texts, "finish": responses["finish_reason"].to_pylist()}
    columns: Columns = {}
    shift = folder.parquet(layout.shift(*at), SHIFT)
    content["shift"] = shift is not None
    if shift is not None:
        strings, columns = token_columns(shift, ids, texts, text_of)
        content |= strings
    judges = folder.names(str(Path(layout.verdicts(*at, "x")).parent), ".parquet")
    content["judges"] = {name: _verdicts(folder, layout.verdicts(*at, name), ids) for name in judges}
    content["markers"] = {}
    for name in folder.names(str(Path(layout.spans(*at, "x")).parent), ".parquet"):
        spans = by_id(folder.parquet(layout.spans(*at, name), SPANS))
        trace = folder.parquet(layout.trace(*at, name), TRACE)
        content["markers"][name], more = _marked(ids, spans, trace, number)
        columns |= {f"trace/{name}/{column}": values for column, values in more.items()}
    words = folder.parquet(layout.words(*at), pa.schema([WORDS.field(name) for name in OF_WORDS]))
    content["words"] = words is not None
    if words is not None:
        columns |= _words(words, ids, number)
    content["borrowing"] = _borrowing(folder.parquet(layout.borrowing(*at), BORROWING), at[0])
    return content, columns


def _verdicts(folder: Folder, file: str, ids: list[str]) -> dict[str, Any]:
    """The judge's version, the aspects, and for each response a score or null, and a reason or null cause, per aspect."""
    rows = by_id(folder.parquet(file, VERDICTS))
    flat = [verdict for verdicts in rows.values() for verdict in verdicts]
    aspects = list(dict.fromkeys(verdict["aspect"] for verdict in flat))
    scores, reasons = [], []
    for id_ in ids:
        said = {verdict["aspect"]: verdict for verdict in rows.get(id_, [])}
        scores.append([said[aspect]["score"] if aspect in said else None for aspect in aspects])
        reasons.append([_reason(said.get(aspect)) for aspect in aspects])
    version = flat[0]["judge"] if flat else ""
    return {"judge": version, "aspects": aspects, "scores": scores, "reasons": reasons}


def _reason(verdict: dict[str, Any] | None) -> str | None:
    if verdict is None:
        return "no verdict"
    return ": ".join(filter(None, [verdict["null_cause"], verdict["reason"]])) or None


def _marked(
    ids: list[str], spans: dict[str, list[dict[str, Any]]], trace: pa.Table | None, number: Numbers
) -> tuple[dict[str, Any], Columns]:
    """Spans in the responses' order, what gave none, and columns of the candidates of all spans, one after the other.

    A span is [response, start, end, kind, note, origin, trace]; trace: [instances, instances_words, longest, chance, candidates]
    or null where the span was not traced. An origin is an instance's number, `none`, or null.
    """
    found: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for candidate in trace.to_pylist() if trace is not None else []:
        found.setdefault((candidate["id"], candidate["start"], candidate["end"]), []).append(candidate)
    listed, unmarked, all_candidates = [], [], []
    for place, id_ in enumerate(ids):
        for span in spans.get(id_, []):
            if span["start"] is None:
                unmarked.append([place, span["null_cause"], span["quote"]])
                continue
            origin = span["origin"]
            candidates = found.get((id_, span["start"], span["end"]), [])
            listed.append([
                place, span["start"], span["end"], span["kind"], span["note"],
                number(origin) if origin not in (None, "none") else origin, _traced(candidates),
            ])  # fmt: skip
            all_candidates += [candidate for candidate in candidates if candidate["instance"] is not None]
    versions = {span["marker"] for of in spans.values() for span in of}
    marked = {"marker": ", ".join(sorted(versions)), "spans": listed, "unmarked": unmarked, "traced": trace is not None}
    return marked, _candidates(all_candidates, number)


def _traced(candidates: list[dict[str, Any]]) -> list[Any] | None:
    if not candidates:
        return None
    first = candidates[0]
    chance = round(first["chance"], 4) if first["chance"] is not None else None
    there = sum(candidate["instance"] is not None for candidate in candidates)
    return [first["instances"], first["instances_words"], first["longest"], chance, there]


def _candidates(rows: list[dict[str, Any]], number: Numbers) -> Columns:
    def ints(values: Iterable[Any]) -> np.ndarray:
        return np.array([value or 0 for value in values], np.int64)

    columns = {f"rank_{ranker}": ints(row[f"rank_{ranker}"] for row in rows) for ranker in RANKERS}
    return columns | {
        "instance": ints(number(row["instance"]) for row in rows),
        "verbatim": ints(row["verbatim"] for row in rows),
        "shared": ints(row["shared"] for row in rows),
        "keyword": quantized((row["keyword"] for row in rows), CENTI),
        "semantic": quantized((row["semantic"] for row in rows), CENTI),
        "bm25": quantized((row["bm25"] for row in rows), DECI),
    }


def _words(words: pa.Table, ids: list[str], number: Numbers) -> Columns:
    """Columns of all words of the responses `ids`, one response after the other; `words/of`: how many each has."""
    rows = by_id(words)
    flat = [word for id_ in ids for word in rows.get(id_, [])]
    candidates = [word["candidates"] or [] for word in flat]

    def ints(values: Iterable[Any]) -> np.ndarray:
        return np.array([value or 0 for value in values], np.int64)

    columns = {
        "of": ints(len(rows.get(id_, [])) for id_ in ids),
        "start": ints(word["start"] for word in flat),
        "length": ints(word["end"] - word["start"] for word in flat),
        "instances": ints(word["instances"] for word in flat),
        "longest": ints(word["longest"] for word in flat),
        # a word that no instance holds has no run around it: it is its own
        "run_before": ints(word["start"] - _or(word["longest_start"], word["start"]) for word in flat),
        "run_length": ints(
            _or(word["longest_end"], word["end"]) - _or(word["longest_start"], word["start"]) for word in flat
        ),
        "candidates": ints(map(len, candidates)),
        "candidate": ints(number(id_) for of in candidates for id_ in of),
    }
    return {f"words/{name}": values for name, values in columns.items()}


def _or(value: int | None, other: int) -> int:
    return other if value is None else value


def _borrowing(borrowing: pa.Table | None, cell: str) -> list[list[Any]]:
    """Phrases found and looked for in the cell's own dataset, over all responses: [unit, ngram, where, null, found, phrases]."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in borrowing.to_pylist() if borrowing is not None else []:
        if row["searched"] == cell.split("/")[1]:
            total = sums.setdefault((row["unit"], row["ngram"], row["where"], row["null"]), [0, 0])
            total[0] += row["found"]
            total[1] += row["phrases"]
    return [[*key, *total] for key, total in sums.items()]
