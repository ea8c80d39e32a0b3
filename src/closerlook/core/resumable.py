"""Tables computed in parts: a restart repeats only unfinished parts, and the ranks of a job share the parts.

A part depends only on its own rows: in float32 on a CPU, an interrupted table has the same bytes as an uninterrupted one.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch.distributed as dist
from tqdm import tqdm

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet

Row = dict[str, Any]
Rows = list[Row]
LONGEST_WAIT = timedelta(days=20)
"""For other ranks; a job's time limit is shorter, and its launcher ends all ranks when one dies."""


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


class _Barrier:
    """Where the ranks of a job wait for each other: the store at MASTER_ADDR, which every rank reaches.

    A process group of gloo would also need a network interface of each node, and takes the loopback interface where a node's
    name means its loopback address.
    """

    def __init__(self, rank: int, ranks: int, out: Path, identity: str) -> None:
        """Raises CloserlookError if the ranks would compute different tables."""
        self.rank, self.ranks = rank, ranks
        store, _, _ = next(dist.rendezvous("env://", rank, ranks, timeout=LONGEST_WAIT))
        self._store = dist.PrefixStore(str(out), store)
        self._store.set(f"identity/{rank}", identity)
        self.wait("begun")
        if len({self._store.get(f"identity/{other}") for other in range(ranks)}) > 1:
            raise CloserlookError(
                f"{out}: the ranks would compute different tables; expected the same inputs, library versions and type of GPU "
                "or CPU on all nodes"
            )

    def wait(self, point: str) -> None:
        """Return when every rank has come to this point of its work."""
        self._store.set(f"{point}/{self.rank}", "")
        self._store.wait([f"{point}/{rank}" for rank in range(self.ranks)], LONGEST_WAIT)

    def leave(self) -> None:
        """Return once no rank needs the store any more, which the first one may host."""
        self._store.set(f"left/{self.rank}", "")
        if self.rank == 0:
            self._store.wait([f"left/{rank}" for rank in range(self.ranks)], LONGEST_WAIT)


def split_by_length(lengths: list[int], size: int) -> list[list[int]]:
    """Indices in parts of `size`, longest first, so that the rows of a part have similar lengths. The last part is shorter."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    return [order[first : first + size] for first in range(0, len(order), size)]


def compute_in_parts(
    parts: list[list[int]],
    compute: Callable[[list[list[int]], Progress], Iterable[tuple[int, Row]]],
    schema: pa.Schema,
    out: Path,
    identity: str,
    unit: str = "responses",
) -> None:
    """Write `out` from `compute(parts, progress)`, which yields each index of the parts once, with its row, in any order.

    Row i of the table is the one of index i. parts: lists of indices, which together are 0 to n - 1; each is stored as soon as
    its rows are there, in a hidden folder next to `out`, until the table is complete. identity: fingerprint of all that the rows
    depend on; finished parts of another identity are deleted. With WORLD_SIZE above 1 (torchrun, or srun after
    `ranks.join_srun`), each rank computes every WORLD_SIZE-th part and rank 0 writes the table.
    """
    out = Path(out)
    ranks = int(os.environ.get("WORLD_SIZE", 1))
    rank = int(os.environ.get("RANK", 0)) if ranks > 1 else 0
    barrier = _Barrier(rank, ranks, out, identity) if ranks > 1 else None
    root = out.with_name(f".{out.name}.parts")
    folder = root / identity[:32]
    if rank == 0 and root.is_dir():
        for stale in set(root.iterdir()) - {folder}:
            shutil.rmtree(stale)
    files = [folder / f"{number:06}.parquet" for number in range(len(parts))]
    own = range(rank, len(parts), ranks)
    missing = [number for number in own if not files[number].exists()]
    total, left = (sum(len(parts[number]) for number in numbers) for numbers in (own, missing))
    title = out.stem if ranks == 1 else f"{out.stem} (rank {rank} of {ranks})"
    progress = Progress(total, total - left, title, unit)
    part_of = {index: number for number in missing for index in parts[number]}
    rows: dict[int, dict[int, Row]] = {number: {} for number in missing}
    for index, row in compute([parts[number] for number in missing], progress) if missing else ():
        part, found = parts[part_of[index]], rows[part_of[index]]
        found[index] = row
        if len(found) == len(part):
            write_parquet([found[index] for index in part], schema, files[part_of[index]])
            del rows[part_of[index]]
    progress.close()
    if barrier:
        barrier.wait("computed")
    if rank == 0:
        table = pa.concat_tables([schema.empty_table(), *(read_parquet(file) for file in files)]).combine_chunks()
        indices = pa.array([index for part in parts for index in part], pa.int64())
        write_parquet(table.take(pc.sort_indices(indices)), schema, out)
        shutil.rmtree(root, ignore_errors=True)
    if barrier:
        barrier.wait("written")  # no rank reports success before the table exists
        barrier.leave()
