"""Leave-instances-out ablation: a dataset without the instances that spans were traced to, half of them, or controls.

If a model that was never tuned on them still generates a phrase, it does not need the instances that the phrase was traced to.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from closerlook.config.derived import AblationSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import RANKERS
from closerlook.data.tally import Tally
from closerlook.spans.inputs import Span, read_instructions, read_marked_responses, words_only
from closerlook.trace.embeddings import Embeddings, pair_text
from closerlook.trace.index import Index


@dataclass(frozen=True)
class AblationFiles:
    """The traced spans of a cell tuned on the dataset, and the dataset's index and embeddings."""

    spans: Path
    trace: Path
    responses: Path
    evalset: Path
    index: Path
    embeddings: Path | None
    """None: similarity is the BM25 score."""


@dataclass
class SampledSpan:
    """A span with the rows of the instances that it was traced to, best first."""

    span: Span
    quote: str
    pair: str
    """Instruction and response as one text, as instances are embedded."""
    traced: list[int]


def exclude(
    instances: pa.Table, settings: AblationSettings, files: AblationFiles
) -> tuple[pa.Table, Tally, dict[str, Any]]:
    """Exclude the instances of one arm for a sample of spans. The other instances keep their ids and order.

    instances: those that the cell was tuned on (INSTANCES). All arms have the same sample. Returns the instances, the tally, and
    for the report, how much was left out, and each span with what was left out for it and how many instances state it.
    Raises CloserlookError if there is no span to sample, if too few instances are left as controls, or if files do not match.
    """
    ids = instances["id"].to_pylist()
    row_of = {id_: row for row, id_ in enumerate(ids)}
    index = Index(files.index)
    if index.ids != ids:
        raise CloserlookError(f"{files.index}: indexes other instances than those of the dataset; build it again")
    eligible, counts = _eligible_spans(settings, files, row_of)
    drawn = sorted(random.Random(settings.seed).sample(range(len(eligible)), min(settings.spans, len(eligible))))
    chosen = [eligible[number] for number in drawn]
    lengths = np.array([len(text) for text in instances["response"].to_pylist()], np.float64)
    similarity = _similarity([span.pair for span in chosen], index, files.embeddings)
    stating = _stating(index, [span.quote for span in chosen])
    said = {words_only(span.quote) for span in chosen}
    others = np.any(_stating(index, [span.quote for span in eligible if words_only(span.quote) not in said]), axis=0)
    left_out = _left_out(settings, chosen, similarity, lengths, stating, others)
    dropped = np.zeros(len(ids), bool)
    dropped[list(chain.from_iterable(left_out))] = True
    tally = Tally((settings.take,))
    for row, is_dropped in zip(instances["row"].to_pylist(), dropped.tolist(), strict=True):
        tally.drop(settings.take, row) if is_dropped else tally.keep(row)
    sampled = [
        {
            **span.span._asdict(),
            "quote": span.quote,
            "instances": [ids[row] for row in rows],
            "similarity": [round(float(similarity[number, row]), 6) for row in rows],
            "stated_before": int(stating[number].sum()),
            "stated_after": int((stating[number] & ~dropped).sum()),
        }
        for number, (span, rows) in enumerate(zip(chosen, left_out, strict=True))
    ]
    facts = {
        "spans": counts,
        "similarity": "cosine of Sentence-BERT" if files.embeddings else "BM25",
        "characters_left_out": float(lengths[dropped].sum() / lengths.sum()),
        "sampled": sampled,
    }
    return instances.filter(pa.array(~dropped)), tally, facts


def _left_out(
    settings: AblationSettings,
    chosen: Sequence[SampledSpan],
    similarity: np.ndarray,
    lengths: np.ndarray,
    stating: np.ndarray,
    others: np.ndarray,
) -> list[list[int]]:
    """The rows that an arm leaves out, by span; no row is left out for two.

    similarity: [chosen, instances]. lengths: of the responses, in characters: what is trained on. stating: [chosen, instances],
    whether an instance contains the span's words. others: [instances], whether it contains those of a span that is not sampled.
    """
    traced = _each_once(chosen)
    if settings.take == "traced":
        return traced
    if settings.take == "half":
        rng = random.Random(f"{settings.seed}/half")
        halves = [[rows[i] for i in sorted(rng.sample(range(len(rows)), len(rows) // 2))] for rows in traced]
        if not any(halves):
            raise CloserlookError("half: no sampled span has two instances of its own; raise candidates or spans")
        return halves
    allowed = ~stating
    allowed[:, list(chain.from_iterable(traced))] = False
    if settings.take == "similar":
        return match_controls(traced, [similarity, np.broadcast_to(lengths, similarity.shape)], allowed)
    return match_controls(traced, [np.broadcast_to(lengths, similarity.shape)], allowed & others)


def _stating(index: Index, quotes: Sequence[str]) -> np.ndarray:
    """Whether an instance contains the words of each quote: [quotes, instances]."""
    stating = np.zeros((len(quotes), len(index.ids)), bool)
    for row, quote in zip(stating, quotes, strict=True):
        row[index.words.documents(words_only(quote))] = True
    return stating


def _each_once(chosen: Sequence[SampledSpan]) -> list[list[int]]:
    """The traced rows by span. An instance belongs only to the first span that was traced to it."""
    seen: set[int] = set()
    traced = []
    for span in chosen:
        traced.append([row for row in span.traced if row not in seen])
        seen.update(span.traced)
    return traced


def match_controls(
    traced: Sequence[Sequence[int]], features: Sequence[np.ndarray], allowed: np.ndarray
) -> list[list[int]]:
    """For each traced instance a control that is nearest to it in the features: rows by span, as many as traced ones.

    traced: rows by span. features: such as similarity and length, each [spans, instances]; each counts in units of its standard
    deviation. allowed: [spans, instances], the controls that a span can have. The most extreme instances are matched first, since
    few others are like them; the next match compensates what a match differs by, so that means agree. Ties go to the first row.
    """
    scaled = np.stack([np.asarray(feature, np.float64) / (np.std(feature) or 1.0) for feature in features])
    targets = [(scaled[:, span, row], span) for span, rows in enumerate(traced) for row in rows]
    free = np.ones(allowed.shape[1], bool)
    controls: list[list[int]] = [[] for _ in traced]
    deficit = np.zeros(len(features))
    for target, span in sorted(targets, key=lambda pair: (-pair[0].sum(), pair[1])):
        possible = allowed[span] & free
        if not possible.any():
            raise CloserlookError(
                f"{len(targets)} traced instances need as many controls, but only {int(allowed.any(axis=0).sum())} can be one; "
                "lower spans or candidates"
            )
        distance = np.abs(scaled[:, span] - (target + deficit)[:, None]).sum(axis=0)
        best = int(np.argmin(np.where(possible, distance, np.inf)))
        deficit += target - scaled[:, span, best]
        free[best] = False
        controls[span].append(best)
    return controls


def _eligible_spans(
    settings: AblationSettings, files: AblationFiles, row_of: dict[str, int]
) -> tuple[list[SampledSpan], dict[str, int]]:
    """The spans that can be sampled, in their order, with counts for the report.

    able: eligible spans. traced_to_none: spans traced to no instance that contains them. in_instruction: spans whose words are in
    the instruction, which can make the model repeat them.
    """
    candidates = _candidates(settings, files.trace)
    marked = list(read_marked_responses(files.spans, files.responses))
    instructions = read_instructions(files.evalset, [response["id"] for response, _ in marked])
    eligible, counts = [], {"able": 0, "traced_to_none": 0, "in_instruction": 0}
    for (response, spans), instruction in zip(marked, instructions, strict=True):
        for span in spans:
            quote = response["text"][span.start : span.end]
            if unknown := [id_ for id_ in candidates[span] if id_ not in row_of]:
                raise CloserlookError(f"{files.trace}: instance {unknown[0]} is not in the dataset; trace again")
            if not candidates[span] or not words_only(quote):
                counts["traced_to_none"] += 1
            elif words_only(quote) in words_only(instruction):
                counts["in_instruction"] += 1
            else:
                traced = [row_of[id_] for id_ in candidates[span]]
                eligible.append(SampledSpan(span, quote, pair_text(instruction, response["text"]), traced))
    if not eligible:
        raise CloserlookError(
            f"{files.trace}: no span was traced to an instance that contains it, so there is nothing to exclude"
        )
    return eligible, counts | {"able": len(eligible)}


def _candidates(settings: AblationSettings, trace: Path) -> defaultdict[Span, list[str]]:
    """For each span, the ids of the best-ranked instances that contain it, best first."""
    if settings.ranker not in RANKERS:
        raise CloserlookError(f"ranker: found {settings.ranker}, expected one of {', '.join(RANKERS)}")
    rank = f"rank_{settings.ranker}"
    rows = read_parquet(trace, ["id", "start", "end", "instance", "verbatim", rank]).to_pylist()
    ids_of: defaultdict[Span, list[str]] = defaultdict(list)
    for row in sorted((row for row in rows if row["verbatim"] and row[rank]), key=lambda row: row[rank]):
        ids = ids_of[Span(row["id"], row["start"], row["end"])]
        if len(ids) < settings.candidates:
            ids.append(row["instance"])
    return ids_of


def _similarity(pairs: Sequence[str], index: Index, embeddings: Path | None) -> np.ndarray:
    """The similarity of each instance to each pair of instruction and response: [pairs, instances] float32."""
    if embeddings:
        vectors = Embeddings(embeddings)
        return vectors.encode(pairs) @ np.asarray(vectors.vectors[: len(index.ids)], np.float32).T
    rows, scores = index.bm25(pairs, len(index.ids))
    similarity = np.zeros((len(pairs), len(index.ids)), np.float32)
    np.put_along_axis(similarity, rows.astype(np.int64), scores, axis=1)
    return similarity
