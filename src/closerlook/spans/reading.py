"""What every stage after the answers reads of them: the instruction that each answers, and where spans were marked in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet


def read_instructions(evalset: Path, ids: Sequence[str]) -> list[str]:
    """The instructions that responses with these ids answer. Raises CloserlookError where the evalset lacks one."""
    table = read_parquet(evalset, columns=["id", "instruction"])
    asked = dict(zip(table["id"].to_pylist(), table["instruction"].to_pylist(), strict=True))
    if absent := next((id_ for id_ in ids if id_ not in asked), None):
        raise CloserlookError(
            f"{evalset}: has no instruction {absent}, which was answered; generate the responses again"
        )
    return [asked[id_] for id_ in ids]


def read_places(spans: Path, texts: Mapping[str, str]) -> dict[str, list[tuple[int, int]]]:
    """Start and end of each span of a SPANS file by the id of its response, each once, all in the file's order.

    texts: of the responses, by id. Rows without a span are left out. Raises CloserlookError for a span that lies in no response.
    """
    places: dict[str, dict[tuple[int, int], None]] = {}
    for row in read_parquet(spans, columns=["id", "start", "end"]).to_pylist():
        id_, start, end = row["id"], row["start"], row["end"]
        if start is None:
            continue
        if id_ not in texts:
            raise CloserlookError(f"{spans}: found a span of {id_}, to which there is no response; mark them again")
        if not 0 <= start < end <= len(texts[id_]):
            raise CloserlookError(
                f"{spans}: found characters {start} to {end} of {id_}, a response of {len(texts[id_])} characters; "
                "it was marked in other responses: mark them again"
            )
        places.setdefault(id_, {})[start, end] = None
    return {id_: list(some) for id_, some in places.items()}
