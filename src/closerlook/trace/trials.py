"""Trials: the rankers trace made-up answers whose sources are known."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from closerlook.config.markers import TrialWorld
from closerlook.core.files import write_parquet
from closerlook.core.schemas import INSTANCES, TRACE, TRIALS
from closerlook.miniature.trials import draw_trials
from closerlook.trace import candidates
from closerlook.trace.embeddings import Embeddings, pair_text
from closerlook.trace.index import Index
from closerlook.trace.indexed_dataset import IndexedDataset
from closerlook.trace.marked import MarkedResponses
from closerlook.trace.passages import Passages


def run_trials(
    world: TrialWorld, embedder: str, top: int, seed: int, instances: Path, answers: Path, trace: Path
) -> None:
    """Draw a world; write its instances (INSTANCES), its answers with their sources (TRIALS), and the answers' TRACE.

    embedder, top: as in the preset's `tracing`. There are no gradients, since no model gave the answers.
    """
    trials = draw_trials(world, seed)
    ids = [f"instance-{number}" for number in range(len(trials.instances))]
    data = pa.Table.from_pylist(
        [
            {"id": ids[n], "instruction": row.instruction, "response": row.response, "source": world, "row": n}
            for n, row in enumerate(trials.instances)
        ],
        schema=INSTANCES,
    )
    spans: list[dict[str, Any]] = [
        {
            "id": f"answer-{number}",
            "instruction": answer.instruction,
            "text": answer.response,
            "start": answer.start,
            "end": answer.end,
            "sources": [[ids[n] for n in part] for part in trials.sources(answer)],
        }
        for number, answer in enumerate(trials.answers)
    ]
    marked = MarkedResponses(
        Passages.from_texts([row["id"] for row in spans], [row["text"] for row in spans]),
        [row["instruction"] for row in spans],
        [(number, row["start"], row["end"]) for number, row in enumerate(spans)],
        classes=None,
    )
    with TemporaryDirectory() as folder:
        index = Index.build(data, Path(folder) / "index")
        pairs = [pair_text(row.instruction, row.response) for row in trials.instances]
        embeddings = Embeddings.build(pairs, embedder, Path(folder) / "embeddings")
        table = candidates.trace(marked, IndexedDataset(world, index, embeddings, len(ids)), top, seed)
    write_parquet(data, INSTANCES, instances)
    write_parquet(spans, TRIALS, answers)
    write_parquet(table, TRACE, trace)
