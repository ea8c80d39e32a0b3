"""Checks that the general texts of a preset are available: fetched before, in a file, or on the hub."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from closerlook.config.load import Configuration
from closerlook.config.settings import FileSource, HubSource
from closerlook.config.texts import MiniatureText
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.data.texts import prepare_text
from closerlook.doctor.checks import Check, Failed, Skipped, check
from closerlook.doctor.hub import ask_hub, is_offline


def check_texts(configuration: Configuration, results: Path) -> Iterator[Check]:
    """Check each text of the preset that the workflow does not make itself."""
    texts = configuration.catalog.texts
    names = [name for name in configuration.preset.retention if not isinstance(texts[name].source, MiniatureText)]
    with ThreadPoolExecutor() as pool:  # a hub that does not answer costs its timeout once
        yield from pool.map(lambda name: check(f"text {name}", _check_text, configuration, name, results), names)


def _check_text(configuration: Configuration, name: str, results: Path) -> str:
    text, fetched = configuration.catalog.texts[name], results / layout.text(name)
    if fetched.is_file():
        return f"fetched into {fetched}"
    match text.source:
        case FileSource(file=file):
            source = FileSource(file=str(configuration.root / file))
            try:
                prepare_text(source, text.column, text.separator, pieces=1)
            except CloserlookError as error:
                raise Failed(f"{configuration.preset.catalog}: texts.{name}: {error}") from None
            return f"in {source.file}"
        case HubSource(hub=repository, revision=revision):
            if is_offline():
                raise Skipped("HF_HUB_OFFLINE is set: it is read from the cache, or unset it on the login node")
            return ask_hub(repository, revision, ".gitattributes", "dataset")
    raise AssertionError(text.source)
