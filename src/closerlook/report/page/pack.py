"""The page's data files. A page opened from disk may load scripts and nothing else, so each file is a script that hands over its
content: JSON and columns of integers, compressed, in base64. Nothing in it can be read as markup or as code.
"""

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from closerlook.core.errors import CloserlookError

MISSING = -32768
"""Null in columns of signed integers."""


def script(name: str, content: Mapping[str, Any], columns: Mapping[str, np.ndarray] | None = None) -> str:
    """A script that calls closerlook.put(name, packed content). `columns`: integers, each 1-dimensional.

    Packed, with zlib and then base64: the length of the JSON in bytes (uint32, little-endian), the JSON, which lists the
    columns' names, types and lengths under `columns`, and their bytes. static/store.js reads it. NaN in `content`: ValueError.
    """
    narrow = {name: _narrowed(column) for name, column in (columns or {}).items()}
    listed = [[name, column.dtype.str[1:], len(column)] for name, column in narrow.items()]
    text = json.dumps({**content, "columns": listed}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    head = text.encode("utf-8", errors="replace")  # a lone surrogate is no text
    raw = struct.pack("<I", len(head)) + head + b"".join(map(_planes, narrow.values()))
    packed = base64.b64encode(zlib.compress(raw, 9)).decode()
    return f'closerlook.put({json.dumps(name)},"{packed}");\n'


def unpack(text: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Content and columns of what `script` wrote. Raises CloserlookError for anything else."""
    try:
        _, _, _, packed, _ = text.split('"')
        raw = zlib.decompress(base64.b64decode(packed, validate=True))
        start = 4 + struct.unpack_from("<I", raw)[0]
        content = json.loads(raw[4:start])
        columns = {}
        for name, kind, length in content.pop("columns"):
            dtype = np.dtype(f"<{kind}")
            planes = np.frombuffer(raw, np.uint8, length * dtype.itemsize, start).reshape(dtype.itemsize, length)
            columns[name] = np.ascontiguousarray(planes.T).view(dtype).reshape(length)
            start += planes.size
    except (IndexError, ValueError, KeyError, struct.error, zlib.error) as error:
        raise CloserlookError(f"not a data file of the page: {error!r}") from None
    return content, columns


def quantized(values: Iterable[float | None], scale: float) -> np.ndarray:
    """`values` times `scale`, rounded to integers [n] int16, MISSING for null; values out of range are clipped."""
    numbers = np.array([np.nan if value is None else value for value in values], np.float64) * scale
    return np.where(np.isnan(numbers), MISSING, np.clip(np.rint(numbers), MISSING + 1, -MISSING - 1)).astype(np.int16)


def _narrowed(column: np.ndarray) -> np.ndarray:
    """In the smallest integers that hold every value, little-endian."""
    column = np.asarray(column)
    bounds = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    kinds = ("<u1", "<u2", "<u4") if bounds[0] >= 0 else ("<i2", "<i4")
    for kind in kinds:
        limits = np.iinfo(kind)
        if limits.min <= bounds[0] and bounds[1] <= limits.max:
            return column.astype(kind)
    raise ValueError(f"integers from {bounds[0]} to {bounds[1]} do not fit into 32 bits")


def _planes(column: np.ndarray) -> bytes:
    """All lowest bytes, then all second ones, ...: the high bytes of small numbers are runs of zeros, which deflate well."""
    return np.ascontiguousarray(column.view(np.uint8).reshape(len(column), column.dtype.itemsize).T).tobytes()
