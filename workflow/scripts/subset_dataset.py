"""Take the first instances of a prepared dataset: a smaller subset is part of a larger one."""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """Read, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="parquet file written by prepare_dataset.py")
    parser.add_argument("--size", type=int, required=True, help="number of instances")
    parser.add_argument("--seed", type=int, help="order the instances by this seed, not as in the dataset")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    arguments = parser.parse_args()

    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import INSTANCES
    from closerlook.data.instances import subset

    write_parquet(subset(arguments.dataset, arguments.size, arguments.seed), INSTANCES, arguments.out)


if __name__ == "__main__":
    run(main)
