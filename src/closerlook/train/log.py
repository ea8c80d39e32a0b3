"""The training log: one JSON line per optimizer step, in a file and in the trackers the user asked for."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from closerlook.core.errors import CloserlookError


class Log:
    """The log in `file`, truncated after step `resume_at`; each new line is flushed at once, so that a killed run can resume."""

    def __init__(self, file: Path, resume_at: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        kept = file.read_text().splitlines()[:resume_at] if file.is_file() else []
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in kept]
        file.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        self._stream = file.open("a", buffering=1)

    def add(self, line: dict[str, Any]) -> None:
        """Append the line of one step."""
        self.lines.append(line)
        self._stream.write(json.dumps(line, allow_nan=False) + "\n")

    def total(self, key: str) -> float:
        """Return the sum of a column over all steps, including those before a restart."""
        return sum(line[key] for line in self.lines)


def check_trackers(names: Sequence[str]) -> None:
    """Raise CloserlookError, before anything is trained, for a tracker whose package, of the same name, is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise CloserlookError(f"report_to {name}: its package is not installed; run: python -m pip install {name}")


class Trackers:
    """TensorBoard (in `cell`/tensorboard), W&B or trackio; credentials, if any, are their own packages' business."""

    def __init__(self, names: Sequence[str], cell: Path, config: dict[str, Any]) -> None:
        self._runs = [_tensorboard(cell) if name == "tensorboard" else _hosted(name, cell, config) for name in names]

    def add(self, line: dict[str, Any]) -> None:
        """Pass on the line of one step."""
        values = {f"train/{key}": value for key, value in line.items() if key != "step"}
        for log, _ in self._runs:
            log(values, line["step"])

    def close(self) -> None:
        """Flush and end all runs."""
        for _, close in self._runs:
            close()


def _tensorboard(cell: Path) -> tuple[Any, Any]:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(cell / "tensorboard"))

    def log(values: dict[str, float], step: int) -> None:
        for key, value in values.items():
            writer.add_scalar(key, value, step)

    return log, writer.close


def _hosted(name: str, cell: Path, config: dict[str, Any]) -> tuple[Any, Any]:
    package = importlib.import_module(name)
    run = package.init(project="closerlook", name="/".join(cell.parts[-3:]), config=config)
    return lambda values, step: run.log(values, step=step), run.finish
