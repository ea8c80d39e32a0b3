"""Case sheets (Tables 6 to 8): single spans with all that is known of where they come from, in Markdown for people to read."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_text
from closerlook.derive.paraphrase import original_of
from closerlook.spans.located import Response, Span, with_responses
from closerlook.text.escape import markdown
from closerlook.text.words import words_of

Rows = dict[str, dict[str, Any]]
"""Rows of a file by their id."""
AROUND = 300
"""Characters shown of an instance before the phrase and behind it."""


@dataclass(frozen=True)
class Paraphrases:
    """An evalset in other words, and the cell's answers to it."""

    evalset: Path
    responses: Path


@dataclass(frozen=True)
class Sources:
    """What a sheet is made from: a cell's responses with their spans and trace, and the same instructions' other answers."""

    spans: Path
    trace: Path
    responses: Path
    evalset: Path
    data: Path
    """The instances the cell was tuned on."""
    peers: Mapping[str, Path]
    """Responses of cells tuned on the same data, by their run."""
    paraphrases: Paraphrases | None = None


def write_cases(title: str, run: str, sources: Sources, count: int, seed: int, out: Path) -> None:
    """Write `count` spans, drawn by `seed`, in the order of the responses. `run`: what the cell's own answer stands under.

    All text of datasets and models is shown as it is, on one line, and obeyed nowhere.
    """
    spans = [(response, span) for response, found in with_responses(sources.spans, sources.responses) for span in found]
    chosen = sorted(random.Random(seed).sample(range(len(spans)), min(count, len(spans))))
    book = _Book(run, sources)
    lines = [
        f"# {markdown(title)}",
        "",
        f"{len(chosen)} of {len(spans)} spans, drawn with seed {seed}. ⏎ stands for a line's end.",
    ]
    for number, place in enumerate(chosen, 1):
        lines += ["", f"## {number}", "", "| what | text |", "| --- | --- |"]
        lines += [f"| {what} | {text} |" for what, text in book.case(*spans[place])]
    write_text("\n".join(lines) + "\n", out)


class _Book:
    """The files of a sheet, read once."""

    def __init__(self, run: str, sources: Sources) -> None:
        self._run = run
        self._asked = _by_id(sources.evalset, "instruction")
        self._instances = _by_id(sources.data, "instruction", "response")
        self._peers = {name: _by_id(file, "text") for name, file in sources.peers.items()}
        self._candidates: defaultdict[Span, list[dict[str, Any]]] = defaultdict(list)
        for row in read_parquet(sources.trace).to_pylist():
            self._candidates[Span(row["id"], row["start"], row["end"])].append(row)
        self._worded: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        if sources.paraphrases:
            wordings = _by_id(sources.paraphrases.evalset, "instruction")
            for id_, row in _by_id(sources.paraphrases.responses, "text").items():
                self._worded[original_of(id_)].append((_row(wordings, id_, "wording")["instruction"], row["text"]))

    def case(self, response: Response, span: Span) -> Iterator[tuple[str, str]]:
        """The lines of one case: what it is, and the text, both Markdown."""
        id_, text, phrase = span.id, response["text"], response["text"][span.start : span.end]
        yield "id", markdown(id_)
        yield "instruction", markdown(_row(self._asked, id_, "question")["instruction"])
        yield f"answer of {markdown(self._run)}", bold(text, (span.start, span.end))
        for name, answers in self._peers.items():
            answer = _row(answers, id_, f"response of {name}")["text"]
            yield f"answer of {markdown(name)}", bold(answer, place_of(phrase, answer))
        for number, row in enumerate(
            sorted(self._candidates[span], key=lambda row: row["rank_fused"] or len(self._instances))
        ):
            instance = _row(self._instances, row["instance"], "instance")
            what = (
                f"{'other candidate' if number else 'most likely source'} {markdown(row['instance'])}, {_figures(row)}"
            )
            yield what, f"{_shown(instance['instruction'], phrase)} ⏎ {_shown(instance['response'], phrase)}"
        if not self._candidates[span]:
            yield "source", "none found"
        for wording, answer in self._worded[id_]:
            place = place_of(phrase, answer)
            yield (
                f"in other words: {markdown(wording)}",
                f"{'returned' if place else 'not returned'}: {bold(answer, place)}",
            )


def bold(text: str, place: tuple[int, int] | None) -> str:
    """Text as Markdown, with its characters from one place to another in bold."""
    if place is None:
        return markdown(text)
    start, end = place
    return f"{markdown(text[:start])}<strong>{markdown(text[start:end])}</strong>{markdown(text[end:])}"


def place_of(phrase: str, text: str) -> tuple[int, int] | None:
    """Where the words of a phrase first stand side by side in a text, case ignored; None where they do not, or it has none."""
    wanted, words = [word.text for word in words_of(phrase)], words_of(text)
    for first in range(len(words) - len(wanted) + 1 if wanted else 0):
        found = words[first : first + len(wanted)]
        if [word.text for word in found] == wanted:
            return found[0].start, found[-1].end
    return None


def _shown(text: str, phrase: str) -> str:
    """An instance's text around the phrase, or its beginning."""
    place = place_of(phrase, text)
    start, end = place or (0, 0)
    first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    inside = place and (start - first, end - first)
    return f"{'…' if first else ''}{bold(text[first:last], inside)}{'…' if last < len(text) else ''}"


def _figures(row: dict[str, Any]) -> str:
    ranks = [f"{name.removeprefix('rank_')} {row[name]}" for name in row if name.startswith("rank_") and row[name]]
    measures = (("cosine", "semantic"), ("keyword overlap", "keyword"))
    told = [f"{what} {row[name]:.2f}" for what, name in measures if row[name] is not None]
    return ", ".join([*told, f"ranks: {', '.join(ranks)}"])


def _by_id(file: Path, *columns: str) -> Rows:
    return {row["id"]: row for row in read_parquet(file, ["id", *columns]).to_pylist()}


def _row(rows: Rows, id_: str, what: str) -> dict[str, Any]:
    if id_ not in rows:
        raise CloserlookError(f"case sheet: no {what} with id {id_}; its files do not belong together: make them again")
    return rows[id_]
