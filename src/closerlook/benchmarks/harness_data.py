"""The datasets that a task of lm-evaluation-harness loads: stored where the network is, read where it is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import nltk

from closerlook.core.errors import CloserlookError
from closerlook.core.fingerprint import fingerprint


@contextmanager
def datasets_of(task: str, folder: Path | None, fetch: bool = False) -> Iterator[None]:
    """In this context, the datasets that a task asks for are those in the folder; with `fetch`, they are put there first.

    Without a folder, they are the hub's, or its cache's. Raises CloserlookError, when a dataset is asked for, if it is not there
    or cannot be fetched.
    """
    load, caches = datasets.load_dataset, datasets.is_caching_enabled()

    def from_hub(path: str, name: str | None, options: dict[str, Any]) -> datasets.Dataset | datasets.DatasetDict:
        what = path if name is None else f"{path} ({name})"
        try:
            loaded = load(path, name, **options)
        except Exception as error:  # of the hub, the network, the file system, and of formats
            raise CloserlookError(
                f"benchmark {task}: its dataset {what} cannot be loaded: {type(error).__name__}: {error}; run this once where "
                "the network is, with HF_TOKEN set if the dataset is gated"
            ) from error
        if not isinstance(loaded, datasets.Dataset | datasets.DatasetDict):
            raise CloserlookError(f"benchmark {task}: its dataset {what} is a stream, which cannot be stored")
        return loaded

    def from_folder(path: str, name: str | None = None, **options: Any) -> datasets.Dataset | datasets.DatasetDict:
        if folder is None:
            return from_hub(path, name, options)
        stored = folder / fingerprint(path=path, name=name, options=options)[:16]
        if fetch and not stored.is_dir():
            from_hub(path, name, options).save_to_disk(stored)
        if not stored.is_dir():
            raise CloserlookError(
                f"benchmark {task}: {folder} lacks the dataset {path}; delete the folder to fetch it again"
            )
        return datasets.load_from_disk(str(stored))

    if folder is not None:
        sentences = folder / "nltk_data"  # what splits texts into sentences, for IFEval
        if fetch:
            sentences.mkdir(exist_ok=True)
        nltk.data.path.insert(0, str(sentences))
    datasets.load_dataset = from_folder
    datasets.disable_caching()  # else jobs that share the folder would write into it
    try:
        yield
    finally:
        datasets.load_dataset = load
        if caches:
            datasets.enable_caching()
