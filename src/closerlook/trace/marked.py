"""A cell's responses with their marked spans: what is looked up in a dataset for each span, and its gradient attribution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.spans.inputs import read_instructions
from closerlook.text.words import join_words
from closerlook.trace.embeddings import pair_text
from closerlook.trace.indexed_dataset import IndexedDataset
from closerlook.trace.passages import Passages, read_spans, word_classes
from closerlook.trace.rankers import LocatedSpan, locate_spans

SpanKey = tuple[str, int, int]
"""Id of the response, start, end."""


@dataclass(frozen=True)
class MarkedResponses:
    """A cell's responses, the instructions that they answer, and their marked spans (row of the response, start, end).

    classes: [words] str, the shift class of each word; None for a control, which is not tuned.
    attribution: influence by id of the instance, best first, by span; empty if no gradients were taken.
    """

    passages: Passages
    instructions: Sequence[str]
    spans: Sequence[tuple[int, int, int]]
    classes: np.ndarray | None
    attribution: Mapping[SpanKey, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def read(
        cls, responses: Path, evalset: Path, spans: Path, shift: Path | None = None, attribution: Path | None = None
    ) -> "MarkedResponses":
        """From the files of a cell on an evalset; without `shift`, no classes. Raises CloserlookError where they do not match."""
        passages = Passages.read(responses)
        return cls(
            passages,
            read_instructions(evalset, passages.ids),
            read_spans(spans, passages),
            word_classes(passages, shift) if shift else None,
            read_attribution(attribution) if attribution else {},
        )

    @cached_property
    def located(self) -> list[LocatedSpan]:
        """The spans with their words and sentences."""
        return list(locate_spans(self.passages, self.spans))

    @cached_property
    def phrases(self) -> list[str]:
        """The words of each span, joined: what the lexical ranker looks up."""
        words = [word.text for word in self.passages.words]
        return [join_words(words[slice(*span.words)]) for span in self.located]

    @cached_property
    def queries(self) -> list[str]:
        """The sentence of each span and its instruction: what BM25 looks up."""
        return [f"{span.context} {self.instructions[span.response]}" for span in self.located]

    @cached_property
    def pairs(self) -> list[str]:
        """Instruction and response, as those of instances are embedded."""
        return list(map(pair_text, self.instructions, self.passages.texts))

    def key(self, span: LocatedSpan) -> SpanKey:
        """What the attribution calls a span."""
        return self.passages.ids[span.response], span.start, span.end

    def attributed_rows(self, dataset: IndexedDataset) -> dict[str, int]:
        """Rows of a dataset by id, if there is an attribution. Raises CloserlookError if this names instances that it lacks."""
        row_of = {identity: row for row, identity in enumerate(dataset.index.ids)} if self.attribution else {}
        if foreign := {identity for ids in self.attribution.values() for identity in ids} - row_of.keys():
            found = f"found instance {min(foreign)}, expected one of {dataset.name}"
            raise CloserlookError(f"attribution: {found}; attribute the spans again")
        return row_of


def read_attribution(path: Path) -> dict[SpanKey, dict[str, float]]:
    """Influence by id of the instance, best first, by span, from an ATTRIBUTION file."""
    ranked: dict[SpanKey, dict[str, float]] = {}
    table = read_parquet(path, columns=["id", "start", "end", "instance", "score", "rank"]).sort_by("rank")
    for row in table.to_pylist():
        ranked.setdefault((row["id"], row["start"], row["end"]), {})[row["instance"]] = row["score"]
    return ranked
