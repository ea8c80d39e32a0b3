"""Checkpoints that are complete or passed over.

`checkpoints/step-N/` holds the state after N optimiser steps. Its COMPLETE file is written last, when every rank has written its
part, and names the training it belongs to: what is torn, or of another training, is never resumed from.
"""

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.core.files import write_json

MARKER = "COMPLETE"


def identity(facts: dict[str, Any]) -> str:
    """Digest of all that two runs must share for one to continue the other."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def place(folder: Path, scratch: Path | None) -> None:
    """Make the folder of the checkpoints; with `scratch` a link to a folder there, which no other training's path leads to."""
    if scratch and not folder.exists():
        target = scratch / f"checkpoints-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]}"
        target.mkdir(parents=True, exist_ok=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.unlink(missing_ok=True)  # a link to what somebody has cleared away
        folder.symlink_to(target)
    folder.mkdir(parents=True, exist_ok=True)


def remove_all(folder: Path) -> None:
    """Remove the folder of the checkpoints, wherever it lies."""
    shutil.rmtree(folder.resolve())
    if folder.is_symlink():
        folder.unlink()


@dataclass(frozen=True)
class Keeper:
    """The checkpoints in `folder` of the training `identity`."""

    folder: Path
    identity: str

    def at(self, step: int) -> Path:
        """Where the state after `step` optimiser steps lies."""
        return self.folder / f"step-{step}"

    def resume_at(self) -> int:
        """The last step to go on from, 0 for the start; says on stderr which checkpoint is taken and which is passed over."""
        for checkpoint in self._newest_first():
            if reason := self._unfit(checkpoint):
                print(f"{checkpoint} is passed over: {reason}", file=sys.stderr)
            else:
                print(f"going on from {checkpoint}", file=sys.stderr)
                write_json([*self.resumed_from(), _step_of(checkpoint)], self.folder / "resumed_from.json")
                return _step_of(checkpoint)
        (self.folder / "resumed_from.json").unlink(missing_ok=True)
        return 0

    def resumed_from(self) -> list[int]:
        """The steps that this training has gone on from so far."""
        file = self.folder / "resumed_from.json"
        return json.loads(file.read_text()) if file.is_file() else []

    def start(self, step: int) -> None:
        """Make an empty folder for the checkpoint of `step`; what an interrupted run left there goes."""
        _remove(self.at(step))
        self.at(step).mkdir(parents=True)

    def complete(self, step: int) -> None:
        """Mark the checkpoint of `step` as complete, then remove all others."""
        write_json({"identity": self.identity, "step": step}, self.at(step) / MARKER)
        for checkpoint in self._newest_first():
            if checkpoint != self.at(step):
                _remove(checkpoint)

    def _unfit(self, checkpoint: Path) -> str | None:
        try:
            found = json.loads((checkpoint / MARKER).read_text())["identity"]
        except (OSError, ValueError, KeyError, TypeError):
            return f"it has no readable {MARKER} file, so its writing was interrupted"
        if found != self.identity:
            return "it belongs to other settings, data, template, base model, precision or number of ranks"
        return None

    def _newest_first(self) -> list[Path]:
        found = [path for path in self.folder.glob("step-*") if path.name.removeprefix("step-").isdigit()]
        return sorted(found, key=_step_of, reverse=True)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _remove(checkpoint: Path) -> None:
    """The marker goes first: half removed, a checkpoint must not look complete."""
    (checkpoint / MARKER).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)
