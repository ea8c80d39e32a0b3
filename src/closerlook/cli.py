"""Inspect a configuration, a cluster or results. No command changes results."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from closerlook import __version__
from closerlook.config import site
from closerlook.config.catalog import Catalog
from closerlook.config.flags import add_config_flags, config_words, read_configuration, run_words
from closerlook.config.load import Configuration
from closerlook.config.preset import Preset
from closerlook.config.settings import Settings
from closerlook.config.site import Site
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_text
from closerlook.core.scripts import run

SCHEMAS: dict[str, type[Settings]] = {"preset": Preset, "catalog": Catalog, "site": Site}
DEFAULT_SITE = Path("config/site.yaml")


def main() -> None:
    """Run the command that the command line names."""
    try:
        run(_run_command)
        sys.stdout.flush()
    except BrokenPipeError:  # as in `closerlook status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that Python's flush at exit does not fail


def _run_command() -> None:
    parser = _build_parser()
    arguments = parser.parse_args()
    if "command" in arguments:
        arguments.command(arguments)
    else:
        parser.print_help()


def _build_parser() -> argparse.ArgumentParser:
    config = argparse.ArgumentParser(add_help=False)
    add_config_flags(config)
    results = argparse.ArgumentParser(add_help=False, parents=[config])
    results.add_argument("--results", type=Path, help="results folder (default: results/<preset>)")
    results.add_argument("--json", action="store_true", help="print JSON with every field instead of text")

    parser = argparse.ArgumentParser(prog="closerlook", description=__doc__)
    parser.add_argument("--version", action="version", version=f"closerlook {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")

    check = commands.add_parser("check", parents=[config], help="check a preset and its catalog, and list its cells")
    check.set_defaults(command=_check)

    show = commands.add_parser(
        "show", parents=[config], help="print the tables of a preset's results, and the paths of its figures"
    )
    show.add_argument("results", type=Path, nargs="?", help="results folder (default: results/<preset>)")
    show.set_defaults(command=_show)

    plan = commands.add_parser(
        "plan", parents=[results], help="estimate GPUs, memory, hours and disk of each cell, and the cost of judges"
    )
    plan.add_argument("--site", type=Path, help=f"site file (default: {DEFAULT_SITE}, if it exists)")
    plan.add_argument("--gpu", metavar="TYPE", help="type of GPU of the site (default: its first)")
    plan.set_defaults(command=_plan)

    status = commands.add_parser(
        "status",
        parents=[results],
        help="report what is done, running or failed, and the commands that resume",
        description=(
            "Report the state of each stage of each cell, judged by its files: done, running, failed, stale (made with other "
            "settings, or from inputs that changed), waiting (for an input) or new. Slurm is asked once, about attempts "
            "without a recorded end."
        ),
    )
    status.set_defaults(command=_status)

    doctor = commands.add_parser(
        "doctor", parents=[results], help="check that the cluster is as the site file says, and that jobs run on it"
    )
    doctor.add_argument("--site", type=Path, default=DEFAULT_SITE, help="site file (default: %(default)s)")
    doctor.add_argument("--no-jobs", action="store_true", help="only query Slurm; run no job")
    doctor.add_argument("--timeout", type=float, default=120, help="seconds for a job to start (default: %(default)s)")
    doctor.set_defaults(command=_doctor)

    schema = commands.add_parser("schema", help="write the JSON schemas of presets, the catalog and the site file")
    schema.add_argument("--out", type=Path, default=Path("config/schema"), help="folder (default: %(default)s)")
    schema.set_defaults(command=_schema)
    return parser


def _check(arguments: argparse.Namespace) -> None:
    configuration, _ = _load(arguments)
    for cell, evalsets in configuration.cells.items():
        print(cell.name, "on", ", ".join(evalsets) or "no evalset: only trained")
    print(f"{len(configuration.cells)} cells: OK")


def _show(arguments: argparse.Namespace) -> None:
    from closerlook.report.tables.show import show_results  # rich is slow to import

    if arguments.results and (arguments.configfile or arguments.config):
        raise CloserlookError(
            f"found both the results folder {arguments.results} and a configuration, expected one of them"
        )
    show_results(arguments.results or _load(arguments)[1])


def _plan(arguments: argparse.Namespace) -> None:
    from closerlook.plan.build import build_plan
    from closerlook.plan.text import plan_lines

    configuration, results = _load(arguments)
    site_file = arguments.site or (DEFAULT_SITE if DEFAULT_SITE.is_file() else None)
    if arguments.gpu and not site_file:
        raise CloserlookError(f"--gpu {arguments.gpu}: found no site file, expected --site FILE or {DEFAULT_SITE}")
    plan = build_plan(configuration, results, site.read(site_file) if site_file else None, arguments.gpu)
    if arguments.json:
        _print_json(asdict(plan))
    else:
        print(*plan_lines(plan), sep="\n")


def _status(arguments: argparse.Namespace) -> None:
    from closerlook.cluster.status import as_json, status
    from closerlook.cluster.status_text import lines

    configuration, results = _load(arguments)
    words = [*run_words(DEFAULT_SITE.is_file()), *config_words(arguments.configfile, arguments.config)]
    rows = status(configuration, results, words)
    if arguments.json:
        _print_json(as_json(configuration, results, rows))
    else:
        print(*lines(rows), sep="\n")


def _doctor(arguments: argparse.Namespace) -> None:
    from closerlook.doctor.doctor import doctor

    configuration, results = _load(arguments)
    checks = []
    for check in doctor(configuration, arguments.site, results, not arguments.no_jobs, arguments.timeout):
        checks.append(check)
        if not arguments.json:
            print(check, flush=True)
    if arguments.json:
        _print_json([asdict(check) for check in checks])
    if any(check.state == "FAILED" for check in checks):
        sys.exit(1)


def _schema(arguments: argparse.Namespace) -> None:
    for name, model in SCHEMAS.items():
        write_text(schema_text(model), arguments.out / f"{name}.schema.json")


def schema_text(model: type[Settings]) -> str:
    """Return the JSON schema of one of SCHEMAS, as config/schema/ has it."""
    return json.dumps(model.model_json_schema(), indent=2) + "\n"


def _load(arguments: argparse.Namespace) -> tuple[Configuration, Path]:
    """The configuration, and the results folder: the given one, else the preset's."""
    configuration = read_configuration(arguments.configfile, arguments.config, Path.cwd())
    results = getattr(arguments, "results", None)
    return configuration, results or Path("results") / configuration.preset.preset


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, allow_nan=False))
