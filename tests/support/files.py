"""Files that tests write."""

import json
from pathlib import Path
from typing import Any


def json_file(value: Any, path: Path) -> str:
    """Write a value as JSON; returns the path."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)
