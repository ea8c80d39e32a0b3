"""Case sheets (Tables 6 to 8): Markdown with spans, their likely sources, and the answers of other models."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_text
from closerlook.derive.paraphrase import original_of
from closerlook.spans.inputs import ResponseRow, Span, read_marked_responses
from closerlook.text.escape import markdown
from closerlook.text.words import words_of

Rows = dict[str, dict[str, Any]]
"""Rows of a file by their id."""
CONTEXT = 300
"""Characters of an instance shown on either side of the phrase."""


@dataclass(frozen=True)
class Paraphrases:
    """A paraphrased evalset, and the cell's responses to it."""

    evalset: Path
    responses: Path


@dataclass(frozen=True)
class Sources:
    """The files of a sheet: a cell's responses with spans and trace, and other answers to the instructions."""

    spans: Path
    trace: Path
    responses: Path
    evalset: Path
    data: Path
    """The instances that the cell was tuned on."""
    peers: Mapping[str, Path]
    """Responses of cells tuned on the same data, by variant."""
    paraphrases: Paraphrases | None = None


def write_cases(title: str, run: str, sources: Sources, count: int, seed: int, out: Path) -> None:
    """Write a sheet of `count` spans, drawn with `seed`, in the order of the responses. run: label of the cell's answer.

    Text of datasets and models is escaped and put on one line.
    """
    marked = read_marked_responses(sources.spans, sources.responses)
    spans = [(response, span) for response, response_spans in marked for span in response_spans]
    chosen = sorted(random.Random(seed).sample(range(len(spans)), min(count, len(spans))))
    data = _SheetData(run, sources)
    lines = [
        f"# {markdown(title)}",
        "",
        f"{len(chosen)} of {len(spans)} spans, drawn with seed {seed}. ⏎ marks the end of a line.",
    ]
    for number, index in enumerate(chosen, 1):
        lines += ["", f"## {number}", "", "| what | text |", "| --- | --- |"]
        lines += [f"| {label} | {text} |" for label, text in data.case(*spans[index])]
    write_text("\n".join(lines) + "\n", out)


class _SheetData:
    """The files of a sheet, read once."""

    def __init__(self, run: str, sources: Sources) -> None:
        self._run = run
        self._instructions = _by_id(sources.evalset, "instruction")
        self._instances = _by_id(sources.data, "instruction", "response")
        self._peers = {name: _by_id(file, "text") for name, file in sources.peers.items()}
        self._candidates: defaultdict[Span, list[dict[str, Any]]] = defaultdict(list)
        for row in read_parquet(sources.trace).to_pylist():
            self._candidates[Span(row["id"], row["start"], row["end"])].append(row)
        self._paraphrases: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        if sources.paraphrases:
            wordings = _by_id(sources.paraphrases.evalset, "instruction")
            for id_, row in _by_id(sources.paraphrases.responses, "text").items():
                self._paraphrases[original_of(id_)].append((_row(wordings, id_, "wording")["instruction"], row["text"]))

    def case(self, response: ResponseRow, span: Span) -> Iterator[tuple[str, str]]:
        """The rows of one case: label and text, both Markdown."""
        id_, text, phrase = span.id, response["text"], response["text"][span.start : span.end]
        yield "id", markdown(id_)
        yield "instruction", markdown(_row(self._instructions, id_, "question")["instruction"])
        yield f"answer of {markdown(self._run)}", bold(text, (span.start, span.end))
        for name, answers in self._peers.items():
            answer = _row(answers, id_, f"response of {name}")["text"]
            yield f"answer of {markdown(name)}", bold(answer, find_phrase(phrase, answer))
        candidates = sorted(self._candidates[span], key=lambda row: row["rank_fused"] or len(self._instances))
        for number, row in enumerate(candidates):
            instance = _row(self._instances, row["instance"], "instance")
            kind = "other candidate" if number else "most likely source"
            label = f"{kind} {markdown(row['instance'])}, {_measures(row)}"
            yield label, f"{_excerpt(instance['instruction'], phrase)} ⏎ {_excerpt(instance['response'], phrase)}"
        if not candidates:
            yield "source", "none found"
        for wording, answer in self._paraphrases[id_]:
            match = find_phrase(phrase, answer)
            result = "returned" if match else "not returned"
            yield f"in other words: {markdown(wording)}", f"{result}: {bold(answer, match)}"


def bold(text: str, match: tuple[int, int] | None) -> str:
    """Text as Markdown, with characters [start, end) in bold."""
    if match is None:
        return markdown(text)
    start, end = match
    return f"{markdown(text[:start])}<strong>{markdown(text[start:end])}</strong>{markdown(text[end:])}"


def find_phrase(phrase: str, text: str) -> tuple[int, int] | None:
    """Start and end of the first occurrence of a phrase's words in a text, case ignored; None if there is none."""
    phrase_words, words = [word.text for word in words_of(phrase)], words_of(text)
    for first in range(len(words) - len(phrase_words) + 1 if phrase_words else 0):
        candidate = words[first : first + len(phrase_words)]
        if [word.text for word in candidate] == phrase_words:
            return candidate[0].start, candidate[-1].end
    return None


def _excerpt(text: str, phrase: str) -> str:
    """The text of an instance around the phrase, or its beginning."""
    match = find_phrase(phrase, text)
    start, end = match or (0, 0)
    first, last = max(0, start - CONTEXT), min(len(text), end + CONTEXT)
    inside = match and (start - first, end - first)
    return f"{'…' if first else ''}{bold(text[first:last], inside)}{'…' if last < len(text) else ''}"


def _measures(row: dict[str, Any]) -> str:
    ranks = [f"{name.removeprefix('rank_')} {row[name]}" for name in row if name.startswith("rank_") and row[name]]
    measures = (("cosine", "semantic"), ("keyword overlap", "keyword"))
    values = [f"{label} {row[name]:.2f}" for label, name in measures if row[name] is not None]
    return ", ".join([*values, f"ranks: {', '.join(ranks)}"])


def _by_id(file: Path, *columns: str) -> Rows:
    return {row["id"]: row for row in read_parquet(file, ["id", *columns]).to_pylist()}


def _row(rows: Rows, id_: str, kind: str) -> dict[str, Any]:
    if id_ not in rows:
        raise CloserlookError(f"case sheet: found no {kind} with id {id_}; the files do not match: make them again")
    return rows[id_]
