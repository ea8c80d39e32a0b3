"""Sentence-BERT neighbours: a unit vector per instance, computed once per dataset and memory-mapped.

Neighbours are found by comparing with every vector: faiss's exact search by inner product, as IndexFlatIP does it, but without a
copy of the vectors. That is fast enough for hundreds of thousands, and leaves no approximation to blame for what is not found. A
model reads the beginning of a text only (all-MiniLM-L6-v2 its first 256 word pieces).
"""

import json
import shutil
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from closerlook.core.errors import CloserlookError
from closerlook.core.files import replacing, sha256, write_json
from closerlook.core.fingerprint import fingerprint
from closerlook.trace.load_errors import reading

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CHUNK = 512
"""Texts per file while vectors are computed: what a kill can cost."""
BATCH = 16
"""Texts at a time: larger batches pad more, and fall out of a CPU's cache."""
BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Instructions of a CPU that multiply bfloat16; without them it would be slower than float32."""
WEIGHTS = ["*.safetensors", "*.json", "*.txt", "*.model", "README.md"]
"""What is fetched of a model on the hub: no pickles, no other formats of the same weights."""


class Embeddings:
    """Vectors of a dataset's texts, in its order, so that the first rows are those of a subset."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder = Path(folder)
        with reading(folder, "embed"):
            self._manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            self.vectors: np.ndarray = np.asarray(np.load(folder / "vectors.npy", mmap_mode="r"))
            """float32 [texts, dimensions], each of length 1."""
            self.embedder: str = self._manifest["embedder"]

    @classmethod
    def build(cls, texts: Sequence[str], embedder: str, folder: Path) -> "Embeddings":
        """Embed texts into `folder`, on a GPU where there is one. Killed and started again it goes on where it stopped.

        embedder: an installed package that ships a Sentence-BERT model, a folder, or a hub id. Raises CloserlookError where it
        is none of these, or cannot be fetched.
        """
        place = folder_of(embedder)
        model, model_digest = load(place), sha256(place)
        root = folder.with_name(f".{folder.name}.parts")
        parts = root / fingerprint(model=model_digest, texts=list(texts), chunk=CHUNK)[:32]
        for stale in set(root.glob("*")) - {parts}:
            shutil.rmtree(stale)
        files = []
        with tqdm(total=len(texts), desc="embed", unit=" texts") as bar:
            for start in range(0, len(texts), CHUNK):
                files.append(parts / f"{start:09}.npy")
                chunk = texts[start : start + CHUNK]
                if not files[-1].exists():
                    _save([encode(model, chunk)], files[-1])
                bar.update(len(chunk))
        with replacing(folder) as temporary:
            temporary.mkdir()
            _save([np.load(file) for file in files], temporary / "vectors.npy")
            write_json({"embedder": embedder, "sha256": model_digest}, temporary / "manifest.json")
        shutil.rmtree(root)
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> "Embeddings":
        """Map what `build` wrote. Raises CloserlookError where a file of it is missing or damaged."""
        return cls(folder)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Other texts as vectors by the same model: float32 [texts, dimensions], each of length 1."""
        return encode(self._model, texts) if texts else np.empty((0, self.vectors.shape[1]), np.float32)

    def nearest(self, vectors: np.ndarray, top: int, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The most similar rows among the first `limit`, and their cosines, for each vector (unit, float32 [n, dimensions]).

        int32 and float32 [n, min(top, rows)], best first, equal ones by row.
        """
        import faiss

        held = self.vectors[:limit]
        metric = faiss.METRIC_INNER_PRODUCT
        cosines, rows = faiss.knn(np.ascontiguousarray(vectors, np.float32), held, min(top, len(held)), metric=metric)
        order = np.lexsort((rows, -cosines))
        return np.take_along_axis(rows, order, 1).astype(np.int32), np.take_along_axis(cosines, order, 1)

    @cached_property
    def _model(self) -> "SentenceTransformer":
        place = folder_of(self.embedder)
        if sha256(place) != self._manifest["sha256"]:
            raise CloserlookError(
                f"{self._folder}: was embedded with another version of {self.embedder}; delete it and embed again"
            )
        return load(place)


def folder_of(embedder: str) -> Path:
    """Where a Sentence-BERT model lies: itself a folder, in an installed package, or in the hub's cache, fetched if need be."""
    if Path(embedder).is_dir():
        return Path(embedder)
    if "/" in embedder:
        return _fetched(embedder)
    package = find_spec(embedder.replace("-", "_"))
    for place in (package and package.submodule_search_locations) or ():
        for file in sorted(Path(place).rglob("modules.json")):
            return file.parent
    raise CloserlookError(
        f"embedder {embedder!r}: found no folder and no installed package of this name that ships a Sentence-BERT model; "
        "expected one of these, or a hub id such as sentence-transformers/all-mpnet-base-v2"
    )


def _fetched(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=WEIGHTS))
    except (HfHubHTTPError, HFValidationError, OSError) as error:  # not in the cache, and out of reach, is an OSError
        raise CloserlookError(
            f"embedder {hub_id!r}: no such folder, and the hub does not give it ({type(error).__name__}); "
            "fetch it once where the network is, or name a folder"
        ) from None


def load(folder: Path) -> "SentenceTransformer":
    """The model in a folder, on the GPU if there is one; nothing is downloaded. Raises CloserlookError where none can be read."""
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CloserlookError(f"{folder}: no Sentence-BERT model can be read from it: {error}") from error


def encode(model: "SentenceTransformer", texts: Sequence[str]) -> np.ndarray:
    """float32 [texts, dimensions], each of length 1; an empty text has a vector too. At least one text.

    A CPU that multiplies bfloat16 does so, in half the time: the cosine with the vector in float32 stays above 0.9999.
    """
    import torch

    fast = model.device.type == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in BFLOAT16)
    with torch.autocast("cpu", torch.bfloat16, enabled=fast):
        vectors = model.encode(list(texts), batch_size=BATCH, show_progress_bar=False).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _save(arrays: Sequence[np.ndarray], path: Path) -> None:
    """Write arrays below each other as one .npy file."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.concatenate(arrays))
