"""A user's own model, dataset and evalset, all tiny, and programs run on them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.tiny_models import byte_tokenizer, saved, tiny_model

PRESET: dict[str, Any] = {
    "preset": "mine",
    "template": "alpaca",
    "grid": [{"models": ["tiny"], "datasets": ["ours"], "methods": ["lft"], "evalsets": ["asks"]}],
    "generate": {"max_new_tokens": 4},
    "overrides": {
        "models": {"tiny": {"source": {"folder": "tiny"}}},
        "datasets": {"ours": {"source": {"file": "ours.jsonl"}, "format": "prompt_completion", "rows": 8}},
        "evalsets": {"asks": {"source": {"file": "asks.jsonl"}}},
    },
}


def put_inputs(folder: Path) -> None:
    """A model, a dataset and an evalset of the user's own."""
    folder.mkdir(parents=True, exist_ok=True)
    saved(tiny_model(), folder / "tiny", byte_tokenizer())
    rows = [json.dumps({"prompt": f"q{i}", "completion": f"a{i}"}) for i in range(8)]
    (folder / "ours.jsonl").write_text("\n".join(rows))
    (folder / "asks.jsonl").write_text("\n".join(json.dumps({"instruction": f"q{i}?"}) for i in range(3)))


def run(folder: Path, *command: str) -> str:
    """Run a program of this environment in `folder`; its output, both streams."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
