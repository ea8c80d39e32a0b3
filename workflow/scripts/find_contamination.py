"""Find evaluation instructions that an instruction-tuning dataset asks too, word for word or nearly."""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """Read both, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="parquet file written by prepare_dataset.py")
    parser.add_argument("--evalset", type=Path, required=True, help="parquet file written by prepare_evalset.py")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    arguments = parser.parse_args()

    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import CONTAMINATION, EVALSET, INSTANCES
    from closerlook.data.contamination import find_contamination
    from closerlook.data.instances import read_as

    evalset, instances = read_as(EVALSET, arguments.evalset), read_as(INSTANCES, arguments.dataset)
    pairs = find_contamination(evalset, instances)
    write_parquet(pairs, CONTAMINATION, arguments.out)
    asked = len({pair["evalset_id"] for pair in pairs})
    print(f"{asked:,} of {evalset.num_rows:,} instructions also occur in the dataset, {len(pairs):,} pairs")


if __name__ == "__main__":
    run(main)
