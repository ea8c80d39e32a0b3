"""The command `closerlook`: look at a configuration or at results without running anything."""

import argparse
import json
from pathlib import Path

from closerlook.config import load
from closerlook.config.catalog import Catalog
from closerlook.config.preset import Preset
from closerlook.files import write_text
from closerlook.scripting import run

SCHEMAS = {"preset": Preset, "catalog": Catalog}


def main() -> None:
    """Entry point of the command."""
    run(_main)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="closerlook", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="check a preset and its catalog, and list its cells")
    check.add_argument("--configfile", default="config/mini.yaml", help="the preset (default: %(default)s)")
    check.set_defaults(command=_check)

    show = commands.add_parser("show", help="print the tables of a run, and where its figures lie")
    show.add_argument("results", type=Path, help="results folder of a preset, e.g. results/mini")
    show.set_defaults(command=_show)

    schema = commands.add_parser("schema", help="write the JSON schemas of presets and the catalog")
    schema.add_argument("--out", type=Path, default=Path("config/schema"), help="folder (default: %(default)s)")
    schema.set_defaults(command=_schema)

    arguments = parser.parse_args()
    arguments.command(arguments)


def _check(arguments: argparse.Namespace) -> None:
    configuration = load.read(arguments.configfile, Path.cwd())
    for cell, evalsets in configuration.cells.items():
        print(cell.name, "on", ", ".join(evalsets))
    print(f"{arguments.configfile}: {len(configuration.cells)} cells, all well")


def _show(arguments: argparse.Namespace) -> None:
    from closerlook.tables.show import show_results  # pandas and rich: only where they are needed

    show_results(arguments.results)


def _schema(arguments: argparse.Namespace) -> None:
    for name, model in SCHEMAS.items():
        write_text(schema_text(model), arguments.out / f"{name}.schema.json")


def schema_text(model: type[Preset] | type[Catalog]) -> str:
    """The JSON schema of a preset or a catalog, as it stands in config/schema/."""
    return json.dumps(model.model_json_schema(), indent=2) + "\n"
