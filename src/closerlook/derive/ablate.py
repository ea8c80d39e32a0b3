"""Leave-instances-out ablation: a dataset without traced instances (treatment) or without equally many similar ones (control).

If a model retrained on the treatment arm still generates a phrase, the phrase does not come from the instances it was traced to.
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
from closerlook.core.schemas import RANKERS
from closerlook.data.tally import Tally
from closerlook.spans.inputs import Span, read_instructions, read_marked_responses, words_only
from closerlook.trace.embeddings import Embeddings
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
    """A span with the rows of the instances it was traced to and of their controls. No row belongs to two spans."""

    span: Span
    quote: str
    pair: str
    """Instruction and response as one text, as instances are embedded."""
    traced: list[int]
    similar: list[int] = field(default_factory=list)


def exclude(
    instances: pa.Table, settings: AblationSettings, files: AblationFiles
) -> tuple[pa.Table, Tally, dict[str, Any]]:
    """Exclude the instances of one arm for a sample of spans. The other instances keep their ids and order.

    instances: those that the cell was tuned on (INSTANCES). Both arms have the same sample and exclude the same number. Returns
    the instances, the tally, and for the report, each span with the instances that either arm excludes and their similarity.
    Raises CloserlookError if there is no span to sample, if too few instances are left as controls, or if files do not match.
    """
    ids = instances["id"].to_pylist()
    row_of = {id_: row for row, id_ in enumerate(ids)}
    index = Index(files.index)
    if index.ids != ids:
        raise CloserlookError(f"{files.index}: indexes other instances than those of the dataset; build it again")
    eligible, counts = _eligible_spans(settings, files, row_of)
    sample = sorted(random.Random(settings.seed).sample(range(len(eligible)), min(settings.spans, len(eligible))))
    chosen = [eligible[index] for index in sample]
    seen: set[int] = set()
    for span in chosen:  # each instance belongs only to the first span that was traced to it
        span.traced = [row for row in span.traced if row not in seen]
        seen.update(span.traced)
    similarity = _similarity([span.pair for span in chosen], index, files.embeddings)
    match_controls(chosen, similarity, [index.words.documents(words_only(span.quote)) for span in chosen])
    dropped = set(chain.from_iterable(getattr(span, settings.take) for span in chosen))
    tally = Tally((settings.take,))
    for position, row in enumerate(instances["row"].to_pylist()):
        tally.drop(settings.take, row) if position in dropped else tally.keep(row)
    kept = instances.filter(pa.array([position not in dropped for position in range(len(ids))], pa.bool_()))
    measure = "cosine of Sentence-BERT" if files.embeddings else "BM25"
    return kept, tally, {"spans": counts, "similarity": measure, "sampled": list(_report_rows(chosen, similarity, ids))}


def match_controls(chosen: Sequence[SampledSpan], similarity: np.ndarray, containing: Sequence[np.ndarray]) -> None:
    """Match each traced instance with a control that is equally similar to the span's instruction and response. Fills `similar`.

    similarity: [chosen, instances]. containing: for each span, the rows that contain its phrase. A control does not contain the
    phrase, and no span was traced to it. The most similar instances are matched first, since few others are as similar; a
    difference in similarity is compensated by the next match. Ties go to the first row.
    """
    free = np.ones(similarity.shape[1], bool)
    free[list(chain.from_iterable(span.traced for span in chosen))] = False
    targets = [(similarity[index, row], index) for index, span in enumerate(chosen) for row in span.traced]
    deficit = 0.0
    for target, index in sorted(targets, key=lambda pair: (-pair[0], pair[1])):
        allowed = free.copy()
        allowed[containing[index]] = False
        if not allowed.any():
            raise CloserlookError(
                f"{len(targets)} traced instances need as many controls, but too few of {len(free)} instances are neither traced "
                "nor contain the span; lower spans or candidates"
            )
        best = int(np.argmin(np.where(allowed, np.abs(similarity[index] - target - deficit), np.inf)))
        deficit += float(target - similarity[index, best])
        free[best] = False
        chosen[index].similar.append(best)


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
                eligible.append(SampledSpan(span, quote, f"{instruction}\n{response['text']}", traced))
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


def _report_rows(chosen: Sequence[SampledSpan], similarity: np.ndarray, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    for sampled, values in zip(chosen, similarity, strict=True):
        arms = {
            arm: {"instances": [ids[row] for row in rows], "similarity": [round(float(values[row]), 6) for row in rows]}
            for arm, rows in (("traced", sampled.traced), ("similar", sampled.similar))
        }
        yield {**sampled.span._asdict(), "quote": sampled.quote, **arms}
