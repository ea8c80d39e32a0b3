"""Reading the answers that were sampled for a marker (closerlook.generate.samples)."""

from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet


def read_samples(path: Path, ids: list[str], samples: int) -> list[list[str]]:
    """The texts of the first `samples` answers to each of `ids`. Raises CloserlookError where one is missing."""
    table = read_parquet(path, columns=["id", "text"])
    texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    wanted = [[f"{number}/{id_}" for number in range(samples)] for id_ in ids]
    if absent := next((name for names in wanted for name in names if name not in texts), None):
        number, _, id_ = absent.partition("/")
        raise CloserlookError(
            f"{path}: has no answer number {int(number) + 1} to {id_}, expected {samples} to each; sample again"
        )
    return [[texts[name] for name in names] for names in wanted]
