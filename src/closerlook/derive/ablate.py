"""Leave-instances-out ablation: a dataset without traced instances (treatment) or without as many similar ones (control).

A phrase that returns after retraining on the treatment arm does not come from the instances that it was traced to.
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


def exclude(instances: pa.Table, settings: AblationSettings, files: Files) -> tuple[pa.Table, Tally, dict[str, Any]]:
    """Exclude the instances of one arm for a sample of spans; ids and order of the others stay.

    instances: those that the cell was tuned on (INSTANCES). Both arms have the same sample and leave out the same number. The
    third result is for the report: each span with what either arm leaves out for it, and how similar that is. Raises
    CloserlookError where there is no span to sample, where too few instances are left to set against, or files do not belong
    together.
    """
    ids = instances["id"].to_pylist()
    row_of = {id_: row for row, id_ in enumerate(ids)}
    index = Index.open(files.index)
    if index.ids != ids:
        raise CloserlookError(f"{files.index}: indexes other instances than those of the dataset; build it again")
    eligible, counts = _eligible_spans(settings, files, row_of)
    sample = sorted(random.Random(settings.seed).sample(range(len(eligible)), min(settings.spans, len(eligible))))
    chosen = _make_disjoint([eligible[index] for index in sample])
    similarity = _similarity([span.pair for span in chosen], index, files.embeddings)
    match(chosen, similarity, [index.words.documents(words_only(span.quote)) for span in chosen])
    dropped = set(chain.from_iterable(getattr(span, settings.take) for span in chosen))
    tally = Tally((settings.take,))
    for position, row in enumerate(instances["row"].to_pylist()):
        tally.drop(settings.take, row) if position in dropped else tally.keep(row)
    kept = instances.filter(pa.array([position not in dropped for position in range(len(ids))], pa.bool_()))
    measure = "cosine of Sentence-BERT" if files.embeddings else "BM25"
    return kept, tally, {"spans": counts, "similarity": measure, "sampled": list(_report_rows(chosen, similarity, ids))}


def match(chosen: Sequence[Sampled], similarity: np.ndarray, holding: Sequence[np.ndarray]) -> None:
    """Set against each traced instance another, as similar to the span's instruction and response: fills `similar`.

    similarity: [chosen, instances]. holding: per span the rows that hold its phrase; none of these is taken for it, and none
    that any span was traced to. The most similar instances choose first, since they have the fewest of their like; what one's
    match lacks in similarity, the next one's has to make up for. Ties go to the first row.
    """
    free = np.ones(similarity.shape[1], bool)
    free[list(chain.from_iterable(span.traced for span in chosen))] = False
    wanted = [(similarity[index, row], index) for index, span in enumerate(chosen) for row in span.traced]
    lacking = 0.0
    for level, index in sorted(wanted, key=lambda pair: (-pair[0], pair[1])):
        allowed = free.copy()
        allowed[holding[index]] = False
        if not allowed.any():
            raise CloserlookError(
                f"{len(wanted)} instances are to be left out, too many to set as many others against them: of {len(free)} "
                "too few are neither traced nor hold the span; lower spans or candidates"
            )
        best = int(np.argmin(np.where(allowed, np.abs(similarity[index] - level - lacking), np.inf)))
        lacking += float(level - similarity[index, best])
        free[best] = False
        chosen[index].similar.append(best)


def _eligible_spans(
    settings: AblationSettings, files: Files, row_of: dict[str, int]
) -> tuple[list[Sampled], dict[str, int]]:
    """The spans that can be sampled, in their order, and how many can, how many were traced to no instance that holds them, and
    of how many the words stand in the instruction, which could bring them back by itself."""
    candidates = _candidates(settings, files.trace)
    instructions = {
        row["id"]: row["instruction"] for row in read_parquet(files.evalset, ["id", "instruction"]).to_pylist()
    }
    eligible, counts = [], {"able": 0, "traced_to_none": 0, "in_instruction": 0}
    for response, spans in read_marked_responses(files.spans, files.responses):
        if response["id"] not in instructions:
            raise CloserlookError(
                f"{files.responses}: response {response['id']} answers no question of {files.evalset}"
            )
        instruction, text = instructions[response["id"]], response["text"]
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
                eligible.append(
                    Sampled(span, quote, f"{instruction}\n{text}", [row_of[id_] for id_ in candidates[span]])
                )
    if not eligible:
        raise CloserlookError(
            f"{files.trace}: no span was traced to an instance that holds it, so there is nothing to leave out"
        )
    return eligible, counts | {"able": len(eligible)}


def _candidates(settings: AblationSettings, trace: Path) -> defaultdict[Span, list[str]]:
    """The ids of each span's first instances by the ranker that hold it, best first."""
    ranks = [name.removeprefix("rank_") for name in TRACE.names if name.startswith("rank_")]
    if settings.ranker not in ranks:
        raise CloserlookError(f"ranker: found {settings.ranker}, expected one of {', '.join(ranks)}")
    rank = f"rank_{settings.ranker}"
    rows = read_parquet(trace, ["id", "start", "end", "instance", "verbatim", rank]).to_pylist()
    ids_of: defaultdict[Span, list[str]] = defaultdict(list)
    for row in sorted((row for row in rows if row["verbatim"] and row[rank]), key=lambda row: row[rank]):
        ids = ids_of[Span(row["id"], row["start"], row["end"])]
        if len(ids) < settings.candidates:
            ids.append(row["instance"])
    return ids_of


def _make_disjoint(chosen: list[Sampled]) -> list[Sampled]:
    """The same, with each instance only at the first span that was traced to it."""
    seen: set[int] = set()
    for span in chosen:
        span.traced = [row for row in span.traced if row not in seen]
        seen.update(span.traced)
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


def _report_rows(chosen: Sequence[Sampled], similarity: np.ndarray, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    for sampled, values in zip(chosen, similarity, strict=True):
        arms = {
            arm: {
                "instances": [ids[row] for row in rows],
                "similarity": [round(float(values[row]), 6) for row in rows],
            }
            for arm, rows in (("traced", sampled.traced), ("similar", sampled.similar))
        }
        yield {**sampled.span._asdict(), "quote": sampled.quote, **arms}
