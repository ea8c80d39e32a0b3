"""Long work in parts: killed and started again it goes on with the part it was in, and several ranks share the parts.

A part depends on its own rows alone, so a table that was interrupted has the same bytes as one that was not.
"""

import os
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch.distributed as dist
from tqdm import tqdm

from closerlook.core.files import read_parquet, write_parquet

Rows = list[dict[str, Any]]


class Progress:
    """A bar on stderr, in responses or what else rows are of, with tokens per second; `finished(tokens)` as each one ends."""

    def __init__(self, total: int, done: int, title: str, unit: str = "responses") -> None:
        self._bar = tqdm(total=total, initial=done, desc=title, unit=f" {unit}")
        self._tokens, self._start = 0, time.perf_counter()

    def finished(self, tokens: int) -> None:
        """Count one of so many tokens."""
        self._tokens += tokens
        rate = self._tokens / (time.perf_counter() - self._start)
        self._bar.set_postfix_str(f"{rate:.0f} tokens/s", refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def by_length(lengths: list[int], size: int) -> list[list[int]]:
    """Indices in parts of `size`, longest first, so that a part's rows are of similar length and the last part is short."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    return [order[first : first + size] for first in range(0, len(order), size)]


def in_parts(
    parts: list[list[int]],
    compute: Callable[[list[int], Progress], Rows],
    schema: pa.Schema,
    out: Path,
    identity: str,
    unit: str = "responses",
) -> None:
    """Write `out` from `compute(part, progress)` for every part; row i of the table is the one computed for index i.

    Finished parts lie in a hidden folder beside `out` until the table is whole. With WORLD_SIZE above 1 (torchrun; srun after
    `ranks.join_srun`) each rank takes every WORLD_SIZE-th part and rank 0 writes the table.
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
    mine = list(zip(parts, files, strict=True))[rank::ranks]
    done = sum(len(part) for part, file in mine if file.exists())
    title = out.stem if ranks == 1 else f"{out.stem} (rank {rank} of {ranks})"
    progress = Progress(sum(len(part) for part, _ in mine), done, title, unit)
    for part, file in mine:
        if not file.exists():
            write_parquet(compute(part, progress), schema, file)
    progress.close()
    if ranks > 1:
        dist.barrier()
    if rank == 0:
        _merge(parts, files, schema, out)
        shutil.rmtree(root, ignore_errors=True)
    if ranks > 1:
        dist.barrier()  # nobody reports success before the table is there
        dist.destroy_process_group()


def _merge(parts: list[list[int]], files: list[Path], schema: pa.Schema, out: Path) -> None:
    table = pa.concat_tables([schema.empty_table(), *(read_parquet(file) for file in files)]).combine_chunks()
    place = {index: row for row, index in enumerate(index for part in parts for index in part)}
    write_parquet(table.take(pa.array([place[index] for index in range(len(place))], pa.int64())), schema, out)
