"""Trace made-up answers whose sources are known: the rankers are scored on them (table trials)."""

import argparse
from pathlib import Path
from typing import get_args

from closerlook.config.markers import Tracing, TrialWorld
from closerlook.core.scripts import run


def main() -> None:
    """Write the instances of a world, answers with their sources, and their TRACE."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", choices=get_args(TrialWorld), help="the world (docs/tracing.md)")
    settings = Tracing.model_fields
    for name, kind, metavar in (("embedder", str, None), ("top", int, "N"), ("seed", int, "N")):
        text = f"{settings[name].description} (default: {settings[name].default})"
        parser.add_argument(f"--{name}", type=kind, default=settings[name].default, metavar=metavar, help=text)
    for name in ("instances", "answers", "trace"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=f"{name}.parquet to write")
    arguments = parser.parse_args()

    from closerlook.trace.trials import run_trials

    run_trials(**vars(arguments))


if __name__ == "__main__":
    run(main)
