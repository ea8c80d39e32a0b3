"""The page's data files. A page opened from disk may load scripts and nothing else, so each file is a script with packed content.

Packed content is compressed JSON and columns of integers, written as text with fifteen bits per character. Nothing in the text
can be read as markup or as code. static/store.js reads it.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

ENCODING = "utf-16"
"""Of the files: two bytes per fifteen bits, where base64 takes two and a half. The byte-order mark tells browsers the encoding
even if a server names another one."""
FIRST = 0x3400
"""The character for fifteen zeros. It and the next 32767 characters are no surrogates, quotes or line ends."""
BIT_VALUES = np.uint16(1) << np.arange(14, -1, -1, dtype=np.uint16)


def script(name: str, content: Mapping[str, Any], columns: Mapping[str, np.ndarray] | None = None) -> str:
    """A script that calls closerlook.put(name, length in bytes, packed content). columns: integers, each 1-dimensional.

    Before compression with zlib, the content is the length of the JSON in bytes (uint32, little-endian), the JSON, whose entry
    `columns` lists [name, type, length] of each column, and the bytes of the columns, see `_planes`.

    Raises ValueError for NaN in `content`, and for integers that do not fit into 32 bits.
    """
    narrow = {name: _narrow(np.asarray(column)) for name, column in (columns or {}).items()}
    listed = [[name, column.dtype.str[1:], len(column)] for name, column in narrow.items()]
    text = json.dumps({**content, "columns": listed}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    head = text.encode("utf-8", errors="replace")  # a lone surrogate has no encoding
    raw = struct.pack("<I", len(head)) + head + b"".join(map(_planes, narrow.values()))
    packed = zlib.compress(raw, 9)
    return f'closerlook.put({json.dumps(name)},{len(packed)},"{_as_text(packed)}");\n'


def _narrow(column: np.ndarray) -> np.ndarray:
    """The column in the smallest little-endian integers that hold every value."""
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    dtype = np.min_scalar_type(min(low, -high - 1) if low < 0 else high)
    if dtype.itemsize > 4:
        raise ValueError(f"integers from {low} to {high} do not fit into 32 bits")
    return column.astype(dtype.newbyteorder("<"))


def _planes(column: np.ndarray) -> bytes:
    """All lowest bytes, then all second ones, ...: the high bytes of small numbers are runs of zeros, which compress well."""
    return column.view(np.uint8).reshape(len(column), column.dtype.itemsize).T.tobytes()


def _as_text(packed: bytes) -> str:
    """Fifteen bits per character; zeros fill up the last one."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    units = np.pad(bits, (0, -len(bits) % 15)).reshape(-1, 15) @ BIT_VALUES + np.uint16(FIRST)
    return units.astype("<u2").tobytes().decode("utf-16-le")
