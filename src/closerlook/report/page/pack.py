"""The page's data files. A page opened from disk may load scripts and nothing else, so each file is a script that hands over its
content: JSON and columns of integers, compressed, fifteen bits to a character. Nothing in it can be read as markup or as code.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from closerlook.core.errors import CloserlookError

MISSING = -32768
"""Stands for null in columns of signed integers."""
ENCODING = "utf-16"
"""Of the files: two bytes for the fifteen bits of a character, where base64 would take two and a half. The byte-order mark tells
browsers, whatever a server says."""
FIRST = 0x3400
"""The character that stands for fifteen zeros. From it on, 32768 characters are neither surrogates nor quotes nor line ends."""
BITS = np.arange(14, -1, -1, dtype=np.uint16)


def script(name: str, content: Mapping[str, Any], columns: Mapping[str, np.ndarray] | None = None) -> str:
    """A script that calls closerlook.put(name, length in bytes, packed content). `columns`: integers, each 1-dimensional.

    Packed is, deflated (zlib) and as text: the length of the JSON in bytes (uint32, little-endian), the JSON, which lists the
    columns' names, types and lengths under `columns`, and their bytes. static/store.js reads it. NaN in `content`: ValueError.
    """
    narrow = {name: _narrowed(column) for name, column in (columns or {}).items()}
    listed = [[name, column.dtype.str[1:], len(column)] for name, column in narrow.items()]
    text = json.dumps({**content, "columns": listed}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    head = text.encode("utf-8", errors="replace")  # a lone surrogate is no text
    raw = struct.pack("<I", len(head)) + head + b"".join(map(_planes, narrow.values()))
    packed = zlib.compress(raw, 9)
    return f'closerlook.put({json.dumps(name)},{len(packed)},"{_text(packed)}");\n'


def unpack(text: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Content and columns of what `script` wrote. Raises CloserlookError for anything else."""
    try:
        _, _, length, packed, _ = text.split('"')
        raw = zlib.decompress(_bytes(packed)[: int(length.strip(","))])
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
    """`values` times `scale`, rounded to integers [n] int16, MISSING for null; what lies beyond is cut to the range."""
    numbers = np.array([np.nan if value is None else value for value in values], np.float64) * scale
    return np.where(np.isnan(numbers), MISSING, np.clip(np.rint(numbers), MISSING + 1, -MISSING - 1)).astype(np.int16)


def _text(packed: bytes) -> str:
    """Fifteen bits a character, zeros at the end."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    units = np.pad(bits, (0, -len(bits) % 15)).reshape(-1, 15) @ (np.uint16(1) << BITS) + np.uint16(FIRST)
    return units.astype("<u2").tobytes().decode("utf-16-le")


def _bytes(text: str) -> bytes:
    """What `_text` was made of, and zeros."""
    units = np.frombuffer(text.encode("utf-16-le"), "<u2") - np.uint16(FIRST)
    return np.packbits((units[:, None] >> BITS & 1).astype(np.uint8)).tobytes()


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
