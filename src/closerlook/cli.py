"""The command `closerlook`: look at a configuration or at results without running anything."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from closerlook import __version__
from closerlook.config import site
from closerlook.config.catalog import Catalog
from closerlook.config.flags import add_config_flags, config_words, read_configuration, run_words
from closerlook.config.preset import Preset
from closerlook.config.settings import Settings
from closerlook.config.site import Site
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_text
from closerlook.core.scripts import run

SCHEMAS: dict[str, type[Settings]] = {"preset": Preset, "catalog": Catalog, "site": Site}
DEFAULT_SITE = Path("config/site.yaml")


def main() -> None:
    """Entry point of the command."""
    try:
        run(_main)
        sys.stdout.flush()
    except BrokenPipeError:  # as in `closerlook status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush at exit


def _main() -> None:
    parser = argparse.ArgumentParser(prog="closerlook", description=__doc__)
    parser.add_argument("--version", action="version", version=f"closerlook {__version__}")
    parser.set_defaults(command=lambda arguments: parser.print_help())
    commands = parser.add_subparsers(metavar="COMMAND")

    check = commands.add_parser("check", help="check a preset and its catalog, and list its cells")
    add_config_flags(check)
    check.set_defaults(command=_check)

    show = commands.add_parser("show", help="print the tables of a run, and where its figures lie")
    show.add_argument("results", type=Path, help="results folder of a preset, e.g. results/mini")
    show.set_defaults(command=_show)

    plan = commands.add_parser("plan", help="what each cell of a preset will take: GPUs, memory, hours, disk")
    add_config_flags(plan)
    plan.add_argument("--site", type=Path, help="the cluster (default: config/site.yaml, where there is one)")
    plan.add_argument("--gpu", metavar="TYPE", help="type of GPU of the site (default: its first)")
    plan.add_argument("--results", type=Path, help="results folder (default: results/<preset>)")
    plan.add_argument("--json", action="store_true", help="print JSON instead of a table")
    plan.set_defaults(command=_plan)

    status = commands.add_parser(
        "status",
        help="how far a run is: what is done, runs, failed and why, and the command that resumes",
        description=(
            "Each stage of each cell, judged by its files: done, running, failed, stale (made with other settings, or from "
            "what is not as it was), waiting (for a file) or new. Slurm is asked once, about attempts that have no end."
        ),
    )
    add_config_flags(status)
    status.add_argument("--results", type=Path, help="results folder (default: results/<preset>)")
    status.add_argument("--json", action="store_true", help="print JSON, which has all, instead of a table")
    status.set_defaults(command=_status)

    doctor = commands.add_parser(
        "doctor", help="is the cluster as the site file says, and can a job there do its work?"
    )
    add_config_flags(doctor)
    doctor.add_argument("--site", type=Path, default=DEFAULT_SITE, help="the cluster (default: %(default)s)")
    doctor.add_argument("--results", type=Path, help="results folder (default: results/<preset>)")
    doctor.add_argument("--json", action="store_true", help="print JSON instead of lines")
    doctor.add_argument("--no-jobs", action="store_true", help="look only at what Slurm says; run no job")
    doctor.add_argument("--timeout", type=float, default=120, help="seconds for a job to start (default: %(default)s)")
    doctor.set_defaults(command=_doctor)

    schema = commands.add_parser("schema", help="write the JSON schemas of presets, the catalog and the site file")
    schema.add_argument("--out", type=Path, default=Path("config/schema"), help="folder (default: %(default)s)")
    schema.set_defaults(command=_schema)

    arguments = parser.parse_args()
    arguments.command(arguments)


def _check(arguments: argparse.Namespace) -> None:
    configuration = read_configuration(arguments.configfile, arguments.config, Path.cwd())
    for cell, evalsets in configuration.cells.items():
        print(cell.name, "on", ", ".join(evalsets))
    print(f"{len(configuration.cells)} cells: OK")


def _show(arguments: argparse.Namespace) -> None:
    from closerlook.report.tables.show import show_results  # rich: only where it is needed

    show_results(arguments.results)


def _plan(arguments: argparse.Namespace) -> None:
    from closerlook.plan.build import make
    from closerlook.plan.text import lines

    configuration = read_configuration(arguments.configfile, arguments.config, Path.cwd())
    results = arguments.results or Path("results") / configuration.preset.preset
    file = arguments.site or (DEFAULT_SITE if DEFAULT_SITE.is_file() else None)
    if arguments.gpu and not file:
        raise CloserlookError(f"--gpu {arguments.gpu}: found no site file, expected --site FILE or {DEFAULT_SITE}")
    plan = make(configuration, results, site.read(file) if file else None, arguments.gpu)
    if arguments.json:
        print(json.dumps(plan.as_json(), indent=2, allow_nan=False))
    else:
        print(*lines(plan), sep="\n")


def _status(arguments: argparse.Namespace) -> None:
    from closerlook.cluster.status import as_json, status
    from closerlook.cluster.status_text import lines

    configuration = read_configuration(arguments.configfile, arguments.config, Path.cwd())
    results = arguments.results or Path("results") / configuration.preset.preset
    words = [*run_words(DEFAULT_SITE.is_file()), *config_words(arguments.configfile, arguments.config)]
    rows = status(configuration, results, words)
    if arguments.json:
        print(json.dumps(as_json(configuration, results, rows), indent=2, allow_nan=False))
    else:
        print(*lines(rows), sep="\n")


def _doctor(arguments: argparse.Namespace) -> None:
    from closerlook.doctor.doctor import doctor

    configuration = read_configuration(arguments.configfile, arguments.config, Path.cwd())
    results = arguments.results or Path("results") / configuration.preset.preset
    checks = []
    for check in doctor(configuration, arguments.site, results, not arguments.no_jobs, arguments.timeout):
        checks.append(check)
        if not arguments.json:
            print(check, flush=True)
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    if any(check.state == "FAILED" for check in checks):
        sys.exit(1)


def _schema(arguments: argparse.Namespace) -> None:
    for name, model in SCHEMAS.items():
        write_text(schema_text(model), arguments.out / f"{name}.schema.json")


def schema_text(model: type[Settings]) -> str:
    """The JSON schema of one of SCHEMAS, as it stands in config/schema/."""
    return json.dumps(model.model_json_schema(), indent=2) + "\n"
