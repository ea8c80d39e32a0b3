"""What tests of the page share."""

import json
import re
import struct
import time
import zlib
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.core.files import read_parquet
from closerlook.report.page.pack import BIT_VALUES, FIRST

LFT, SFT, BASE = "tiny/d1/lft", "tiny/d1/sft", "tiny/none/base"


def column(page: Any, cell: str) -> Any:
    """The inspector's column of a cell."""
    return page.get_by_role("region", name=cell, exact=True)


def rows(small_page: Path, file: str) -> list[dict[str, Any]]:
    """The rows of a parquet file of the results that the page was built from."""
    return read_parquet(small_page.parent / file).to_pylist()


def answer_rows(small_page: Path, cell: str, id_: str, file: str) -> list[dict[str, Any]]:
    """The rows of a response, from one of the files of its cell."""
    return [row for row in rows(small_page, f"cells/{cell}/ask/{file}") if row["id"] == id_]


def unpack(text: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Content and columns of a data file, as static/store.js reads it."""
    _, _, length, packed, _ = text.split('"')
    units = np.frombuffer(packed.encode("utf-16-le"), "<u2") - np.uint16(FIRST)
    compressed = np.packbits((units[:, None] & BIT_VALUES).astype(bool)).tobytes()[: int(length.strip(","))]
    raw = zlib.decompress(compressed)
    start = 4 + struct.unpack_from("<I", raw)[0]
    content = json.loads(raw[4:start])
    columns = {}
    for name, kind, size in content.pop("columns"):
        dtype = np.dtype(f"<{kind}")
        planes = np.frombuffer(raw, np.uint8, size * dtype.itemsize, start).reshape(dtype.itemsize, size)
        columns[name] = np.ascontiguousarray(planes.T).view(dtype).reshape(size)
        start += planes.size
    return content, columns


def wait_until(page: Any, expression: str, argument: Any = None, seconds: float = 10.0) -> None:
    """Wait until JavaScript that is evaluated in the page is true.

    Playwright's own wait_for_function calls eval in the page, which the page's content security policy forbids.
    Raises AssertionError once `seconds` have passed.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"not so after {seconds:g} s: {expression}"
        page.wait_for_timeout(20)


def words(html: str) -> str:
    """The text of a page, as a reader sees it."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
