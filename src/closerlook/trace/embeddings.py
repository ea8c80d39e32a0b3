"""Sentence-BERT embeddings: a unit vector per instance, computed once per dataset and memory-mapped.

Nearest neighbors are found exactly, by inner product with every vector: as faiss's IndexFlatIP does, but without a copy of the
vectors. This is fast enough for hundreds of thousands of instances. A model reads only the beginning of a text
(all-MiniLM-L6-v2 its first 256 word pieces).
"""

import json
import shutil
from collections.abc import Sequence
from functools import cache, cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from closerlook.core.errors import CloserlookError
from closerlook.core.files import replacing, sha256, write_json
from closerlook.core.fingerprint import fingerprint
from closerlook.trace.load_errors import index_errors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CHUNK = 512
"""Texts per temporary file while vectors are computed: the work that a kill can lose."""
BATCH = 16
"""Texts per batch: larger batches pad more and exceed a CPU's cache."""
WEIGHTS = ["*.safetensors", "*.json", "*.txt", "*.model", "README.md"]
"""Files of a model that are downloaded from the hub: no pickles, no other formats of the same weights."""


def pair_text(instruction: str, response: str) -> str:
    """An instance, or an instruction and its response, as it is embedded."""
    return f"{instruction}\n{response}"


class Embeddings:
    """The vectors that `build` wrote to `folder`, memory-mapped: in the order of the texts, so a subset's are the first rows.

    Raises CloserlookError if a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder = Path(folder)
        with index_errors(folder, "embed"):
            self._manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            self.vectors: np.ndarray = np.asarray(np.load(folder / "vectors.npy", mmap_mode="r"))
            """float32 [texts, dimensions], each of length 1."""
            self.embedder: str = self._manifest["embedder"]

    @classmethod
    def build(cls, texts: Sequence[str], embedder: str, folder: Path) -> "Embeddings":
        """Embed texts into `folder`, on a GPU if there is one. Resumes after a kill.

        embedder: an installed package that ships a Sentence-BERT model, a folder, or a hub id. Raises CloserlookError if it is
        none of these, or cannot be downloaded.
        """
        model_folder = embedder_folder(embedder)
        model, model_digest = load(model_folder), sha256(model_folder)
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

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of other texts by the same model: float32 [texts, dimensions], each of length 1."""
        return _encode_once(self._model, tuple(texts)) if texts else np.empty((0, self.vectors.shape[1]), np.float32)

    def nearest(self, vectors: np.ndarray, top: int, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The most similar of the first `limit` rows, and their cosines, for each unit vector (float32 [n, dimensions]).

        int32 and float32 [n, min(top, rows)], best first, ties by row.
        """
        import faiss

        searched = self.vectors[:limit]
        metric = faiss.METRIC_INNER_PRODUCT
        cosines, rows = faiss.knn(
            np.ascontiguousarray(vectors, np.float32), searched, min(top, len(searched)), metric=metric
        )
        order = np.lexsort((rows, -cosines))
        return np.take_along_axis(rows, order, 1).astype(np.int32), np.take_along_axis(cosines, order, 1)

    @cached_property
    def _model(self) -> "SentenceTransformer":
        model_folder = embedder_folder(self.embedder)
        if sha256(model_folder) != self._manifest["sha256"]:
            raise CloserlookError(
                f"{self._folder}: was embedded with another version of {self.embedder}; delete it and embed again"
            )
        return load(model_folder)


def embedder_folder(embedder: str) -> Path:
    """The folder of a Sentence-BERT model: local, in an installed package, or in the hub's cache (downloaded if missing)."""
    if Path(embedder).is_dir():
        return Path(embedder)
    if "/" in embedder:
        return _download(embedder)
    package = find_spec(embedder.replace("-", "_"))
    for location in (package and package.submodule_search_locations) or ():
        for file in sorted(Path(location).rglob("modules.json")):
            return file.parent
    raise CloserlookError(
        f"embedder {embedder!r}: found no folder and no installed package of this name that ships a Sentence-BERT model; "
        "expected one of these, or a hub id such as sentence-transformers/all-mpnet-base-v2"
    )


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=WEIGHTS))
    except (
        HfHubHTTPError,
        HFValidationError,
        OSError,
    ) as error:  # OSError: not in the cache and the hub is unreachable
        raise CloserlookError(
            f"embedder {hub_id!r}: no such folder, and it cannot be downloaded from the hub ({type(error).__name__}); "
            "download it once with network access, or name a folder"
        ) from None


@cache
def load(folder: Path) -> "SentenceTransformer":
    """The model in a folder, on the GPU if there is one. Downloads nothing. Raises CloserlookError if it cannot be loaded."""
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise CloserlookError(f"{folder}: cannot be loaded as a Sentence-BERT model: {error}") from error


def encode(model: "SentenceTransformer", texts: Sequence[str]) -> np.ndarray:
    """Vectors of at least one text: float32 [texts, dimensions], each of length 1. An empty text has a vector too.

    On a CPU that multiplies bfloat16, bfloat16 is used: it takes half the time, and the cosine with the float32 vector stays
    above 0.9999.
    """
    import torch

    from closerlook.models.precision import multiplies_bfloat16

    fast = model.device.type == "cpu" and multiplies_bfloat16(model.device)
    with torch.autocast("cpu", torch.bfloat16, enabled=fast):
        vectors = model.encode(list(texts), batch_size=BATCH, show_progress_bar=False).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@lru_cache(maxsize=1)
def _encode_once(model: "SentenceTransformer", texts: tuple[str, ...]) -> np.ndarray:
    """Vectors of texts that are looked up in one dataset after the other."""
    return encode(model, texts)


def _save(arrays: Sequence[np.ndarray], path: Path) -> None:
    """Write the concatenated arrays as one .npy file."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.concatenate(arrays))
