"""Snakemake's flags for configuration, on the command line of other programs: the same files and values, merged the same way."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from closerlook.config.load import Configuration, load
from closerlook.config.lookup import WORKFLOW
from closerlook.config.yaml_file import read_yaml
from closerlook.core.errors import CloserlookError

DEFAULT_PRESET = "config/mini.yaml"
"""What the Snakefile takes where no --configfile is given."""


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add --configfile and --config, as Snakemake has them."""
    parser.add_argument(
        "--configfile",
        "--configfiles",
        nargs="+",
        metavar="FILE",
        default=[],
        help=f"preset; later files override values of earlier ones, as in Snakemake (default: {DEFAULT_PRESET})",
    )
    parser.add_argument(
        "--config", "-C", nargs="*", metavar="KEY=VALUE", default=[], help="values that override those of the files"
    )


def read_configuration(configfiles: Sequence[str], values: Sequence[str], root: Path) -> Configuration:
    """Load the configuration that Snakemake would load from the same flags, in the working directory `root`.

    Raises CloserlookError that names every problem at once, and where a file was looked for.
    """
    files = list(configfiles) or [DEFAULT_PRESET]
    if not configfiles and not (root / DEFAULT_PRESET).is_file():
        raise CloserlookError(
            f"{DEFAULT_PRESET}: not found in {root}, expected the default preset there; "
            "change to a project's folder, or name a preset with --configfile"
        )
    merged = read_yaml(root / files[0], named=files[0])
    if len(files) > 1 or values:
        try:
            from snakemake.cli import parse_config
            from snakemake.utils import update_config
        except ModuleNotFoundError:
            raise CloserlookError(
                "Snakemake merges several --configfile and --config, and is not installed; "
                "run: python -m pip install 'closerlook[workflow]'"
            ) from None

        for file in files[1:]:
            update_config(merged, read_yaml(root / file, named=file))
        try:
            update_config(merged, parse_config(values))
        except ValueError as error:
            raise CloserlookError(f"--config {' '.join(values)}: {error}") from None
    return load(merged, " + ".join([*files, *(["--config"] if values else [])]), root, Path(files[0]).parent)


def config_words(configfiles: Sequence[str], values: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """The words of a command that give Snakemake this configuration again.

    values: of --config, as KEY=VALUE, or as Snakemake holds them once they are parsed.
    """
    if isinstance(values, Mapping):
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        values = [f"{key}={'' if text == 'null' else text}" for key, text in texts.items()]
    return [*(["--configfile", *configfiles] if configfiles else []), *(["--config", *values] if values else [])]


def add_resume_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a program that prints commands which fill what is missing: --profile, --configfile, --config."""
    parser.add_argument(
        "--profile", choices=["slurm"], help="of the commands that fill what is missing (default: they run here)"
    )
    add_config_flags(parser)


def given_resume_words(arguments: argparse.Namespace) -> list[str]:
    """The words of a command that resumes a run, from the flags of add_resume_flags."""
    return [*run_words(arguments.profile == "slurm"), *config_words(arguments.configfile, arguments.config)]


def run_words(slurm: bool, root: Path = Path()) -> list[str]:
    """The words of a command that say what runs where: the cluster of the profile `slurm`, or this machine.

    root: the folder that the command is for. Where it has no Snakefile of its own, the workflow's is named.
    """
    snakefile = WORKFLOW / "Snakefile"
    found = any((root / name).is_file() for name in ("Snakefile", "workflow/Snakefile"))
    words = [] if found or not snakefile.is_file() else ["--snakefile", str(snakefile)]
    return [*words, *(["--profile", "slurm"] if slurm else ["--cores", "all"])]
