"""Several rankings of the same instances made one."""

from collections import defaultdict
from collections.abc import Sequence


def fuse(rankings: Sequence[Sequence[int]], k: int = 60) -> list[int]:
    """Reciprocal rank fusion (Cormack et al. 2009): every ranking gives 1 / (k + rank) to its rows, rank counted from 1.

    rankings: rows, best first; a ranking need not name all rows, and a row it names twice counts where it first stands.
    Returns all rows named, best first. Equal sums: the row that some ranking places highest, then the lower row number.
    """
    scores: defaultdict[int, float] = defaultdict(float)
    best: dict[int, int] = {}
    for ranking in rankings:
        for rank, row in enumerate(dict.fromkeys(ranking), start=1):
            scores[row] += 1 / (k + rank)
            best[row] = min(rank, best.get(row, rank))
    return sorted(scores, key=lambda row: (-scores[row], best[row], row))
