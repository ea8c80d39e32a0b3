"""Exact search of any string in many documents: a suffix array over their UTF-8 bytes, saved once and memory-mapped.

A phrase's occurrences are an interval of the suffix array, which two binary searches find. Which documents they lie in takes
longer for a phrase that stands everywhere; so the array is cut into blocks, and the documents of each block are kept as a bitmap.
"""

import ctypes
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydivsufsort import divsufsort
from pydivsufsort.dll import libdivsufsort, libdivsufsort64

from closerlook.core.files import replacing
from closerlook.trace.load_errors import reading

BORDER = b"\xff"
"""Ends every text. UTF-8 never holds this byte, so no phrase reaches over the end of a text; NUL and newlines may stand in it."""
PAGE = 32
"""Bytes of text per entry of `pages`."""
FEW = 512
"""Occurrences that are sorted out one by one, rather than through a flag for every document."""
ARRAYS = ("suffixes", "starts", "pages", "bitmaps")
"""suffixes: int32 [n], int64 above 2 GiB. starts: int64 [documents + 1], where each begins in the text of n bytes; at last n.
pages: int32, the document that each PAGE of the text lies in; ~document (below 0) of its first byte where it lies in several.
bitmaps: uint8 [blocks, documents / 8]; bit d of a block is set if one of its suffixes begins in document d."""


class Exact:
    """Finds the documents that hold a phrase. Many processes can read it at once: its files are mapped, not loaded.

    A document is one or more texts; a phrase stands in it if it stands in one of them. Compared is code point by code point:
    case matters, and so does whether an accented letter is one code point or two.
    """

    def __init__(self, folder: Path) -> None:
        with reading(folder, "build_index"):
            self._text = np.asarray(np.memmap(folder / "text", np.uint8, "r"))
            arrays = [np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in ARRAYS]
            self._suffixes, self._starts, self._pages, self._bitmaps = arrays
            self.size = len(self._starts) - 1
            self._block = block_of(self.size)
            if self._starts[-1] != len(self._text) or len(self._suffixes) != len(self._text):
                raise ValueError("its files do not belong together")
        wide = self._suffixes.dtype == np.int64
        self._integer = ctypes.c_int64 if wide else ctypes.c_int32
        # What pydivsufsort.sa_search calls; that wraps both arrays anew for each phrase, and so takes four times as long.
        self._search = libdivsufsort64["sa_search64"] if wide else libdivsufsort["sa_search"]
        self._search.restype = self._integer

    @classmethod
    def build(cls, documents: Iterable[Iterable[str]], folder: Path) -> "Exact":
        """Index documents into `folder`, which is whole afterwards, or as it was before.

        Takes 5 bytes of memory per byte of text, 9 above 2 GiB of text. Raises ValueError for no documents at all, and
        UnicodeEncodeError for half a character (a lone surrogate), which UTF-8 cannot hold.
        """
        with replacing(folder) as temporary:
            temporary.mkdir()
            starts = _write_text(documents, temporary / "text")
            suffixes = divsufsort(np.fromfile(temporary / "text", np.uint8))
            pages = paged(starts)
            bitmaps = _bitmaps(suffixes, starts, pages)
            for name, part in zip(ARRAYS, (suffixes, starts, pages, bitmaps), strict=True):
                np.save(temporary / f"{name}.npy", part)
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> "Exact":
        """Map what `build` wrote. Raises CloserlookError where a file of it is missing or damaged."""
        return cls(folder)

    def documents(self, phrase: str, limit: int | None = None) -> np.ndarray:
        """The documents that hold `phrase`: 0-based, int32, ascending, each once. limit: look in the first ones only.

        The empty phrase says nothing and is found nowhere; neither is half a character (a lone surrogate).
        """
        first, last = self._interval(phrase)
        if last - first < FEW:
            found = np.array(sorted(set(self._documents_at(first, last).tolist())), np.int32)
        else:
            found = np.flatnonzero(self._flags(first, last)).astype(np.int32)
        return found if limit is None else found[: np.searchsorted(found, limit)]

    def counts(self, phrases: Sequence[str], limit: int | None = None) -> np.ndarray:
        """How many of the (first `limit`) documents hold each phrase: int64."""
        return np.array([len(self.documents(phrase, limit)) for phrase in phrases], np.int64)

    def occurs(self, phrases: Sequence[str], limit: int | None = None) -> np.ndarray:
        """Whether one of the (first `limit`) documents holds it, for each phrase: bool."""
        if limit is not None:
            return self.counts(phrases, limit) > 0
        return np.array([first < last for first, last in map(self._interval, phrases)], bool)

    def _interval(self, phrase: str) -> tuple[int, int]:
        """Which suffixes begin with `phrase`: from, to (exclusive)."""
        pattern = phrase.encode(errors="surrogatepass")  # bytes that no text holds
        if not pattern:
            return 0, 0
        number, left = self._integer, self._integer()
        text, suffixes = ctypes.c_void_p(self._text.ctypes.data), ctypes.c_void_p(self._suffixes.ctypes.data)
        size = number(len(self._text))
        count = self._search(text, size, pattern, number(len(pattern)), suffixes, size, ctypes.byref(left))
        return left.value, left.value + count

    def _flags(self, first: int, last: int) -> np.ndarray:
        """Of each document, whether one of these suffixes begins in it: whole blocks by bitmaps, the rest one by one."""
        head, tail = -(-first // self._block), last // self._block
        ends = [(first, last)] if head >= tail else [(first, head * self._block), (tail * self._block, last)]
        whole = np.bitwise_or.reduce(self._bitmaps[head:tail])  # of no block: no bit
        flags = np.unpackbits(whole, count=self.size, bitorder="little").view(bool)
        for end in ends:
            flags[self._documents_at(*end)] = True
        return flags

    def _documents_at(self, first: int, last: int) -> np.ndarray:
        return documents_at(self._suffixes[first:last], self._starts, self._pages)


def block_of(documents: int) -> int:
    """Suffixes per block: few enough to look each up, enough for all the bitmaps together not to take more than the text."""
    return max(4096, documents // 8)


def paged(starts: np.ndarray) -> np.ndarray:
    """`pages` of documents that begin at `starts`, the last of which is the end of the text."""
    pages = (np.searchsorted(starts, np.arange(0, starts[-1], PAGE), side="right") - 1).astype(np.int32)
    shared = starts[:-1][starts[:-1] % PAGE > 0] // PAGE
    pages[shared] = ~pages[shared]
    return pages


def documents_at(offsets: np.ndarray, starts: np.ndarray, pages: np.ndarray) -> np.ndarray:
    """The document (int32) at each offset in the text."""
    documents = pages.take(offsets // PAGE)
    shared = np.flatnonzero(documents < 0)
    documents[shared] = ~documents[shared]
    while len(shared := shared[starts[documents[shared] + 1] <= offsets[shared]]):
        documents[shared] += 1
    return documents


def _write_text(documents: Iterable[Iterable[str]], path: Path) -> np.ndarray:
    """Write all texts, each with its BORDER; returns `starts`."""
    starts = array("q", [0])
    with path.open("wb") as file:
        for document in documents:
            starts.append(starts[-1] + file.write(b"".join(text.encode() + BORDER for text in document)))
    if len(starts) == 1:
        raise ValueError("no documents to index")
    return np.array(starts)


def _bitmaps(suffixes: np.ndarray, starts: np.ndarray, pages: np.ndarray) -> np.ndarray:
    documents = len(starts) - 1
    block = block_of(documents)
    bitmaps = np.empty((len(suffixes) // block, -(-documents // 8)), np.uint8)
    for number in range(len(bitmaps)):
        flags = np.zeros(documents, bool)
        flags[documents_at(suffixes[number * block : (number + 1) * block], starts, pages)] = True
        bitmaps[number] = np.packbits(flags, bitorder="little")
    return bitmaps
