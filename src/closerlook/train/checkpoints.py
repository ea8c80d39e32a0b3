"""Checkpoints of a training: complete, or ignored.

`checkpoints/step-N/` holds the state after N optimizer steps. Its COMPLETE file is written last, when every rank has written its
part, and names the training it belongs to. A checkpoint that is incomplete or of another training is never resumed from.
"""

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from closerlook.core.files import write_json

MARKER = "COMPLETE"


def make_folder(folder: Path, scratch: Path | None) -> None:
    """Make the folder of the checkpoints; with `scratch`, a link to a folder there that no other training uses."""
    if scratch and not folder.exists():
        target = scratch / f"checkpoints-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]}"
        target.mkdir(parents=True, exist_ok=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.unlink(missing_ok=True)  # a link whose target was removed
        folder.symlink_to(target)
    folder.mkdir(parents=True, exist_ok=True)


def remove_all(folder: Path) -> None:
    """Remove the folder of the checkpoints, and what it links to."""
    shutil.rmtree(folder.resolve())
    if folder.is_symlink():
        folder.unlink()


@dataclass(frozen=True)
class CheckpointManager:
    """The checkpoints in `folder` of the training with the fingerprint `identity`."""

    folder: Path
    identity: str

    def at(self, step: int) -> Path:
        """The folder of the state after `step` optimizer steps."""
        return self.folder / f"step-{step}"

    def resume_at(self) -> int:
        """The last step to resume after, 0 for the start; prints on stderr which checkpoint is used and which are ignored."""
        for checkpoint in self._newest_first():
            if reason := self._unfit(checkpoint):
                print(f"{checkpoint} is ignored: {reason}", file=sys.stderr)
            else:
                print(f"resuming from {checkpoint}", file=sys.stderr)
                write_json([*self.resumed_from(), _step_of(checkpoint)], self.folder / "resumed_from.json")
                return _step_of(checkpoint)
        (self.folder / "resumed_from.json").unlink(missing_ok=True)
        return 0

    def resumed_from(self) -> list[int]:
        """The steps after which this training has been resumed so far."""
        file = self.folder / "resumed_from.json"
        return json.loads(file.read_text()) if file.is_file() else []

    def start(self, step: int) -> None:
        """Make an empty folder for the checkpoint of `step`; remove what an interrupted run left there."""
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
            identity = json.loads((checkpoint / MARKER).read_text())["identity"]
        except (OSError, ValueError, KeyError, TypeError):
            return f"it has no readable {MARKER} file, so its writing was interrupted"
        if identity != self.identity:
            return "it belongs to other settings, data, template, base model, precision, type of GPU or number of ranks"
        return None

    def _newest_first(self) -> list[Path]:
        folders = [path for path in self.folder.glob("step-*") if path.name.removeprefix("step-").isdigit()]
        return sorted(folders, key=_step_of, reverse=True)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint, its marker first: half removed, it must not look complete."""
    (checkpoint / MARKER).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)
