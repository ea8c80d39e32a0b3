"""Where the files are that a preset or the catalog names: next to the preset, in the working directory, or the workflow's own."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

WORKFLOW = Path(__file__).parents[3]
"""The workflow's own folder, where closerlook is installed from a checkout: catalog, presets, prompts are in its config/."""
_FILE_KEYS = frozenset({"file", "folder", "local", "prompt_file", "labels", "deepspeed", "scores", "human"})


def find_file(name: str, folders: Iterable[Path], root: Path) -> str:
    """The path, from `root`, of a file or folder that a preset or the catalog names: the first of `folders` that has it.

    A name that none of them has is returned as it is, for a message about it.
    """
    for candidate in (folder / name for folder in folders):
        if (root / candidate).exists():
            return str(candidate.relative_to(root) if candidate.is_relative_to(root) else candidate)
    return name


def find_files(value: Any, folders: Sequence[Path], root: Path) -> Any:
    """A mapping of settings, with each file that it names found."""
    if isinstance(value, list):
        return [find_files(item, folders, root) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: find_file(item, folders, root)
        if key in _FILE_KEYS and isinstance(item, str)
        else find_files(item, folders, root)
        for key, item in value.items()
    }
