"""Read an instruction-tuning dataset, clean it, and put it in the order that makes its subsets nested.

Writes a parquet file of instances and a JSON report that counts every dropped row by reason.
"""

import argparse
from pathlib import Path

from closerlook.core.scripts import run
from closerlook.data.formats import FORMATS


def main() -> None:
    """Read, clean, order, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="name of the dataset in the catalog")
    parser.add_argument(
        "--source", type=Path, required=True, help='JSON file: {"hub": id, "split": ...} or {"file": path}'
    )
    parser.add_argument("--format", required=True, choices=list(FORMATS), help="shape of its rows")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    arguments = parser.parse_args()

    from closerlook.config.source_files import ROW_SOURCES, read_source
    from closerlook.core.files import write_json, write_parquet
    from closerlook.core.schemas import INSTANCES
    from closerlook.data.instances import prepare_dataset

    source = read_source(arguments.source, ROW_SOURCES)
    table, report, summary = prepare_dataset(source, arguments.format, arguments.name, arguments.seed)
    write_parquet(table, INSTANCES, arguments.out)
    write_json(report, arguments.report)
    print(f"{arguments.name}: {summary}")


if __name__ == "__main__":
    run(main)
