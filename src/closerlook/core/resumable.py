"""Tables computed in parts: a restart repeats only unfinished parts, and the ranks of a job share the parts.

A part depends only on its own rows, so an interrupted table has the same bytes as an uninterrupted one.
"""

import os
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch.distributed as dist
from tqdm import tqdm

from closerlook.core.files import read_parquet, write_parquet

Rows = list[dict[str, Any]]


class Progress:
    """A progress bar on stderr that counts rows (of the given unit) and shows tokens per second."""

    def __init__(self, total: int, done: int, title: str, unit: str = "responses") -> None:
        self._bar = tqdm(total=total, initial=done, desc=title, unit=f" {unit}")
        self._tokens, self._start = 0, time.perf_counter()

    def advance(self, tokens: int) -> None:
        """Count one finished row and its tokens."""
        self._tokens += tokens
        rate = self._tokens / (time.perf_counter() - self._start)
        self._bar.set_postfix_str(f"{rate:.0f} tokens/s", refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Stop updating the bar."""
        self._bar.close()


def split_by_length(lengths: list[int], size: int) -> list[list[int]]:
    """Indices in parts of `size`, longest first, so that the rows of a part have similar lengths. The last part is shorter."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    return [order[first : first + size] for first in range(0, len(order), size)]


def compute_in_parts(
    parts: list[list[int]],
    compute: Callable[[list[int], Progress], Rows],
    schema: pa.Schema,
    out: Path,
    identity: str,
    unit: str = "responses",
) -> None:
    """Write `out` from `compute(part, progress)` of every part. Row i of the table is the one computed for index i.

    parts: lists of indices, which together are 0 to n - 1. identity: fingerprint of all that the rows depend on; finished parts
    of another identity are deleted. Finished parts are stored in a hidden folder next to `out` until the table is complete.
    With WORLD_SIZE above 1 (torchrun, or srun after `ranks.join_srun`), each rank computes every WORLD_SIZE-th part and rank 0
    writes the table.
    """
    out = Path(out)
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    rank = int(os.environ.get("RANK", 0)) if ranks > 1 else 0
    if ranks > 1:
        dist.init_process_group("gloo", rank=rank, world_size=ranks, timeout=timedelta(days=30))
    root = out.with_name(f".{out.name}.parts")
    folder = root / identity[:32]
    if rank == 0 and root.is_dir():
        for stale in set(root.iterdir()) - {folder}:
            shutil.rmtree(stale)
    files = [folder / f"{number:06}.parquet" for number in range(len(parts))]
    own = list(zip(parts, files, strict=True))[rank::ranks]
    done = sum(len(part) for part, file in own if file.exists())
    title = out.stem if ranks == 1 else f"{out.stem} (rank {rank} of {ranks})"
    progress = Progress(sum(len(part) for part, _ in own), done, title, unit)
    for part, file in own:
        if not file.exists():
            write_parquet(compute(part, progress), schema, file)
    progress.close()
    if ranks > 1:
        dist.barrier()
    if rank == 0:
        table = pa.concat_tables([schema.empty_table(), *(read_parquet(file) for file in files)]).combine_chunks()
        indices = pa.array([index for part in parts for index in part], pa.int64())
        write_parquet(table.take(pc.sort_indices(indices)), schema, out)
        shutil.rmtree(root, ignore_errors=True)
    if ranks > 1:
        dist.barrier()  # no rank reports success before the table exists
        dist.destroy_process_group()
