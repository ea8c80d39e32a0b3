"""Where a cell stands, judged by its files alone. Snakemake, which knows its inputs too, has the last word."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from closerlook.config.settings import TrainSettings

State = Literal["done", "stale", "failed", "new"]


@dataclass(frozen=True)
class Standing:
    """A state, and in words why."""

    state: State
    why: str = ""


def read_manifests(results: Path) -> dict[Path, dict[str, Any]]:
    """The manifest of every trained cell under `results`, by the cell's folder; {} for one that is no JSON mapping."""
    found = {}
    for file in sorted(results.glob("cells/*/*/*/manifest.json")):
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            value = None
        found[file.parent] = value if isinstance(value, dict) else {}
    return found


def trained_standing(
    folder: Path, manifest: Mapping[str, Any] | None, settings: TrainSettings, template: str
) -> Standing:
    """Of a trained cell: its manifest says that it is done and with which settings, failure.json that it is not."""
    if manifest is None:
        failure = folder / "failure.json"
        return Standing("failed", _reason(failure)) if failure.is_file() else Standing("new")
    before, now = manifest.get("settings"), settings.model_dump(mode="json")
    if not isinstance(before, dict):
        return Standing("stale", "its manifest.json tells no settings")
    changed = [
        f"{key} was {before.get(key)}, is {now.get(key)}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    if _digest_of(manifest) != hashlib.sha256(template.encode()).hexdigest():
        changed.append("the prompt template changed")
    return Standing("stale", "; ".join(changed)) if changed else Standing("done")


def control_standing(folder: Path, evalsets: list[str]) -> Standing:
    """Of a control, which trains nothing: whether it has answered."""
    missing = [evalset for evalset in evalsets if not (folder / evalset / "responses.parquet").is_file()]
    return Standing("new" if missing else "done")


def _digest_of(manifest: Mapping[str, Any]) -> str | None:
    template = manifest.get("template")
    return template.get("sha256") if isinstance(template, dict) else None


def _reason(failure: Path) -> str:
    try:
        return str(json.loads(failure.read_text(encoding="utf-8"))["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return "reason unknown"
