"""A dataset without the instances that spans were traced to, or without as many others, as similar, for control.

Trained again on the one and on the other, a model shows whether a phrase comes from what it was traced to: does it return?
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from closerlook.config.derived import AblationSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import TRACE
from closerlook.data.tally import Tally
from closerlook.spans.located import Span, read_marked_responses, words_only
from closerlook.trace.embeddings import Embeddings
from closerlook.trace.index import Index


@dataclass(frozen=True)
class Files:
    """The traced spans of a cell that was tuned on the dataset, and what the dataset is searched with."""

    spans: Path
    trace: Path
    responses: Path
    evalset: Path
    index: Path
    embeddings: Path | None
    """None: as similar is what BM25 scores alike."""


@dataclass
class Sampled:
    """A span, the rows of the instances it was traced to (no row is another span's too), and of those set against them."""

    span: Span
    quote: str
    pair: str
    """Instruction and response, as the embeddings take an instance."""
    traced: list[int]
    similar: list[int] = field(default_factory=list)


def without(instances: pa.Table, settings: AblationSettings, files: Files) -> tuple[pa.Table, Tally, dict[str, Any]]:
    """Leave out what a sample of spans was traced to, or what is set against it; ids and order of the others stay.

    instances: those that the cell was tuned on (INSTANCES). Both takes have the same sample and leave out the same number. The
    third result is for the report: each span with what either take leaves out for it, and how similar that is. Raises
    CloserlookError where there is no span to sample, where too few instances are left to set against, or files do not belong
    together.
    """
    ids = instances["id"].to_pylist()
    row_of = {id_: row for row, id_ in enumerate(ids)}
    index = Index.open(files.index)
    if index.ids != ids:
        raise CloserlookError(f"{files.index}: indexes other instances than those of the dataset; build it again")
    able, counts = _able(settings, files, row_of)
    sample = sorted(random.Random(settings.seed).sample(range(len(able)), min(settings.spans, len(able))))
    chosen = _apart([able[place] for place in sample])
    similarity = _similarity([one.pair for one in chosen], index, files.embeddings)
    match(chosen, similarity, [index.words.documents(words_only(one.quote)) for one in chosen])
    dropped = set(chain.from_iterable(getattr(one, settings.take) for one in chosen))
    tally = Tally((settings.take,))
    for place, row in enumerate(instances["row"].to_pylist()):
        tally.drop(settings.take, row) if place in dropped else tally.keep(row)
    kept = instances.filter(pa.array([place not in dropped for place in range(len(ids))], pa.bool_()))
    measure = "cosine of Sentence-BERT" if files.embeddings else "BM25"
    return kept, tally, {"spans": counts, "similarity": measure, "sampled": list(_told(chosen, similarity, ids))}


def match(chosen: Sequence[Sampled], similarity: np.ndarray, holding: Sequence[np.ndarray]) -> None:
    """Set against each traced instance another, as similar to the span's instruction and response: fills `similar`.

    similarity: [chosen, instances]. holding: per span the rows that hold its phrase; none of these is taken for it, and none
    that any span was traced to. The most similar instances choose first, since they have the fewest of their like; what one's
    match lacks in similarity, the next one's has to make up for. Ties go to the first row.
    """
    free = np.ones(similarity.shape[1], bool)
    free[list(chain.from_iterable(one.traced for one in chosen))] = False
    wanted = [(similarity[place, row], place) for place, one in enumerate(chosen) for row in one.traced]
    lacking = 0.0
    for level, place in sorted(wanted, key=lambda pair: (-pair[0], pair[1])):
        may = free.copy()
        may[holding[place]] = False
        if not may.any():
            raise CloserlookError(
                f"{len(wanted)} instances are to be left out, too many to set as many others against them: of {len(free)} "
                "too few are neither traced nor hold the span; lower spans or candidates"
            )
        best = int(np.argmin(np.where(may, np.abs(similarity[place] - level - lacking), np.inf)))
        lacking += float(level - similarity[place, best])
        free[best] = False
        chosen[place].similar.append(best)


def _able(settings: AblationSettings, files: Files, row_of: dict[str, int]) -> tuple[list[Sampled], dict[str, int]]:
    """The spans that can be sampled, in their order, and how many can, how many were traced to no instance that holds them, and
    of how many the words stand in the instruction, which could bring them back by itself."""
    candidates = _candidates(settings, files.trace)
    asked = {row["id"]: row["instruction"] for row in read_parquet(files.evalset, ["id", "instruction"]).to_pylist()}
    able, counts = [], {"able": 0, "traced_to_none": 0, "in_instruction": 0}
    for response, spans in read_marked_responses(files.spans, files.responses):
        if response["id"] not in asked:
            raise CloserlookError(
                f"{files.responses}: response {response['id']} answers no question of {files.evalset}"
            )
        instruction, text = asked[response["id"]], response["text"]
        for span in spans:
            quote = text[span.start : span.end]
            unknown = [id_ for id_ in candidates[span] if id_ not in row_of]
            if unknown:
                raise CloserlookError(f"{files.trace}: instance {unknown[0]} is not in the dataset; trace again")
            if not candidates[span] or not words_only(quote):
                counts["traced_to_none"] += 1
            elif words_only(quote) in words_only(instruction):
                counts["in_instruction"] += 1
            else:
                able.append(Sampled(span, quote, f"{instruction}\n{text}", [row_of[id_] for id_ in candidates[span]]))
    if not able:
        raise CloserlookError(
            f"{files.trace}: no span was traced to an instance that holds it, so there is nothing to leave out"
        )
    return able, counts | {"able": len(able)}


def _candidates(settings: AblationSettings, trace: Path) -> defaultdict[Span, list[str]]:
    """The ids of each span's first instances by the ranker that hold it, best first."""
    ranks = [name.removeprefix("rank_") for name in TRACE.names if name.startswith("rank_")]
    if settings.ranker not in ranks:
        raise CloserlookError(f"ranker: found {settings.ranker}, expected one of {', '.join(ranks)}")
    rank = f"rank_{settings.ranker}"
    rows = read_parquet(trace, ["id", "start", "end", "instance", "verbatim", rank]).to_pylist()
    found: defaultdict[Span, list[str]] = defaultdict(list)
    for row in sorted((row for row in rows if row["verbatim"] and row[rank]), key=lambda row: row[rank]):
        ids = found[Span(row["id"], row["start"], row["end"])]
        if len(ids) < settings.candidates:
            ids.append(row["instance"])
    return found


def _apart(chosen: list[Sampled]) -> list[Sampled]:
    """The same, with each instance only at the first span that was traced to it."""
    seen: set[int] = set()
    for one in chosen:
        one.traced = [row for row in one.traced if row not in seen]
        seen.update(one.traced)
    return chosen


def _similarity(pairs: Sequence[str], index: Index, embeddings: Path | None) -> np.ndarray:
    """How similar each instance is to each pair of instruction and response: [pairs, instances] float32."""
    if embeddings:
        vectors = Embeddings.open(embeddings)
        return vectors.encode(pairs) @ np.asarray(vectors.vectors[: len(index.ids)], np.float32).T
    rows, scores = index.bm25(pairs, len(index.ids))
    similarity = np.zeros((len(pairs), len(index.ids)), np.float32)
    np.put_along_axis(similarity, rows.astype(np.int64), scores, axis=1)
    return similarity


def _told(chosen: Sequence[Sampled], similarity: np.ndarray, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    for one, values in zip(chosen, similarity, strict=True):
        takes = {
            take: {
                "instances": [ids[row] for row in rows],
                "similarity": [round(float(values[row]), 6) for row in rows],
            }
            for take, rows in (("traced", one.traced), ("similar", one.similar))
        }
        yield {**one.span._asdict(), "quote": one.quote, **takes}
