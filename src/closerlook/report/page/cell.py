"""The data file of one cell on one evalset: texts, tokens, scores, marked spans, shifted words and their candidate instances."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.config.rows import GridRow
from closerlook.core import layout
from closerlook.core.schemas import BORROWING, RANKERS, RESPONSES, SHIFT, SPANS, TRACE, VERDICTS, WORDS
from closerlook.report.page.reading import Folder, by_id
from closerlook.report.page.tokens import token_columns
from closerlook.report.tables.borrowing import SMALL_PARTS, TUNED_ON

WORD_COLUMNS = ("id", "start", "end", "instances", "longest", "longest_start", "longest_end", "candidates")
"""Columns of WORDS that the page shows; of the rankings it has the fused one alone."""
SCALES = {"keyword": 100, "semantic": 100, "bm25": 10}
"""Scores of candidates are stored as integers: multiplied by these numbers and rounded."""
MISSING = -32768
"""The value of null in columns of scores."""

Columns = dict[str, np.ndarray]
InstanceNumber = Callable[[str], int]
"""From an instance's id to its number among the instances of the cell's dataset that the page shows."""


def cell_file(
    folder: Folder, row: GridRow, text_of: Callable[[int], str], number: InstanceNumber
) -> tuple[dict[str, Any], Columns] | None:
    """Content and columns of the data file for a row of the grid; None without responses. text_of: a token's text."""
    at = (row.cell, row.evalset)
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
        content["strings"] = strings
    judges = folder.names(str(Path(layout.verdicts(*at, "x")).parent), ".parquet")
    content["judges"] = {name: _verdicts(folder, layout.verdicts(*at, name), ids) for name in judges}
    content["markers"] = {}
    for name in folder.names(str(Path(layout.spans(*at, "x")).parent), ".parquet"):
        spans = by_id(folder.parquet(layout.spans(*at, name), SPANS))
        trace = (
            folder.parquet(layout.trace(*at, name), TRACE) if row.dataset else None
        )  # a control's are of many datasets
        content["markers"][name], candidates = _marked_spans(ids, spans, trace, number)
        columns |= {f"trace/{name}/{column}": values for column, values in candidates.items()}
    words = folder.parquet(layout.words(*at), pa.schema([WORDS.field(name) for name in WORD_COLUMNS]))
    content["words"] = words is not None
    if words is not None:
        columns |= _words(words, ids, number)
    content["borrowing"] = _borrowing(folder.parquet(layout.borrowing(*at), BORROWING), at[0])
    return content, columns


def quantized(values: Iterable[float | None], scale: float) -> np.ndarray:
    """`values` times `scale`, rounded and clipped to int16 [n]; MISSING for null."""
    numbers = np.array([np.nan if value is None else value for value in values], np.float64) * scale
    return np.where(np.isnan(numbers), MISSING, np.clip(np.rint(numbers), MISSING + 1, -MISSING - 1)).astype(np.int16)


def _verdicts(folder: Folder, file: str, ids: list[str]) -> dict[str, Any]:
    """The judge's version, the aspects, and for each response a score or null and a reason or null cause per aspect."""
    rows = by_id(folder.parquet(file, VERDICTS))
    verdicts = [verdict for of_response in rows.values() for verdict in of_response]
    aspects = list(dict.fromkeys(verdict["aspect"] for verdict in verdicts))
    scores, reasons = [], []
    for id_ in ids:
        by_aspect = {verdict["aspect"]: verdict for verdict in rows.get(id_, [])}
        scores.append([by_aspect[aspect]["score"] if aspect in by_aspect else None for aspect in aspects])
        reasons.append([_reason(by_aspect.get(aspect)) for aspect in aspects])
    return {"judge": verdicts[0]["judge"] if verdicts else "", "aspects": aspects, "scores": scores, "reasons": reasons}


def _reason(verdict: dict[str, Any] | None) -> str | None:
    if verdict is None:
        return "no verdict"
    return ": ".join(filter(None, [verdict["null_cause"], verdict["reason"]])) or None


def _marked_spans(
    ids: list[str], spans: dict[str, list[dict[str, Any]]], trace: pa.Table | None, number: InstanceNumber
) -> tuple[dict[str, Any], Columns]:
    """Spans and rows without a span, in the responses' order, and columns of the candidates of all spans, one after the other.

    A span is [response, start, end, kind, note, origin, trace]; trace is [instances, instances_words, longest, matched, number of
    candidates], or null if the span was not traced. origin is an instance's number, `none`, or null.
    """
    traced: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for row in trace.to_pylist() if trace is not None else []:
        traced.setdefault((row["id"], row["start"], row["end"]), []).append(row)
    listed, unmarked, candidates = [], [], []
    for response, id_ in enumerate(ids):
        for span in spans.get(id_, []):
            if span["start"] is None:
                unmarked.append([response, span["null_cause"], span["quote"]])
                continue
            origin = span["origin"] if span["origin"] in (None, "none") else number(span["origin"])
            rows = traced.get((id_, span["start"], span["end"]), [])
            of_span = [row for row in rows if row["instance"] is not None]
            counts = None
            if rows:
                matched = None if rows[0]["matched"] is None else round(rows[0]["matched"], 4)
                counts = [
                    *(rows[0][name] for name in ("instances", "instances_words", "longest")),
                    matched,
                    len(of_span),
                ]
            listed.append([response, *(span[name] for name in ("start", "end", "kind", "note")), origin, counts])
            candidates += of_span
    versions = {span["marker"] for of_response in spans.values() for span in of_response}
    marker = {"marker": ", ".join(sorted(versions)), "spans": listed, "unmarked": unmarked, "traced": trace is not None}
    ranks = [f"rank_{ranker}" for ranker in RANKERS]
    columns = {name: _integers(row[name] for row in candidates) for name in (*ranks, "verbatim", "shared")}
    columns["instance"] = _integers(number(row["instance"]) for row in candidates)
    columns |= {name: quantized((row[name] for row in candidates), scale) for name, scale in SCALES.items()}
    return marker, columns


def _words(words: pa.Table, ids: list[str], number: InstanceNumber) -> Columns:
    """Columns of the words of the responses `ids`, one response after the other; `words/of`: how many each response has."""
    by_response = by_id(words)
    rows = [word for id_ in ids for word in by_response.get(id_, [])]
    runs = [  # around a word that no instance contains there is no run but the word itself
        (row["start"], row["end"]) if row["longest_start"] is None else (row["longest_start"], row["longest_end"])
        for row in rows
    ]
    candidates = [row["candidates"] or [] for row in rows]
    columns = {
        "of": _integers(len(by_response.get(id_, [])) for id_ in ids),
        "start": _integers(row["start"] for row in rows),
        "length": _integers(row["end"] - row["start"] for row in rows),
        "instances": _integers(row["instances"] for row in rows),
        "longest": _integers(row["longest"] for row in rows),
        "run_before": _integers(row["start"] - start for row, (start, _) in zip(rows, runs, strict=True)),
        "run_length": _integers(end - start for start, end in runs),
        "candidates": _integers(map(len, candidates)),
        "candidate": _integers(number(id_) for of_word in candidates for id_ in of_word),
    }
    return {f"words/{name}": values for name, values in columns.items()}


def _integers(values: Iterable[Any]) -> np.ndarray:
    """Integers [n]; 0 for null."""
    return np.array([value or 0 for value in values], np.int64)


def _borrowing(borrowing: pa.Table | None, cell: str) -> list[list[Any]]:
    """Phrases found and looked up in the cell's own dataset, over all responses and draws, but for the parts tuned on, which are
    about what is observed, and the small parts: [unit, ngram, where, null, found, phrases]."""
    if borrowing is None:
        return []
    shown = ~pc.field("null").isin([TUNED_ON, *SMALL_PARTS])
    own = borrowing.filter((pc.field("searched") == cell.split("/")[1]) & shown)
    keys = ["unit", "ngram", "where", "null"]
    sums = own.group_by(keys, use_threads=False).aggregate([("found", "sum"), ("phrases", "sum")])
    return [
        list(row) for row in zip(*(sums[name].to_pylist() for name in [*keys, "found_sum", "phrases_sum"]), strict=True)
    ]
