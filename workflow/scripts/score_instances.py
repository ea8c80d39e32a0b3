"""Score every instance of a dataset for each marked span by every ranker."""

import argparse
from pathlib import Path

from closerlook.core.scripts import add_index, run


def main() -> None:
    """Write INSTANCE_SCORES: a row per span."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=Path, required=True, metavar="FILE", help="responses.parquet of the cell")
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with the instructions")
    parser.add_argument("--spans", type=Path, required=True, metavar="FILE", help="spans of these responses")
    add_index(parser)
    parser.add_argument(
        "--attribution",
        type=Path,
        metavar="FILE",
        help="attribution/<marker>.parquet with all instances (default: none)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="parquet file to write")
    arguments = parser.parse_args()

    from closerlook.core import schemas
    from closerlook.core.files import write_parquet
    from closerlook.trace.indexed_dataset import IndexedDataset
    from closerlook.trace.instance_scores import score_instances
    from closerlook.trace.marked import MarkedResponses

    marked = MarkedResponses.read(
        arguments.responses, arguments.evalset, arguments.spans, attribution=arguments.attribution
    )
    dataset = IndexedDataset.open(arguments.index.name, arguments.index, arguments.embeddings)
    write_parquet(score_instances(marked, dataset), schemas.INSTANCE_SCORES, arguments.out)


if __name__ == "__main__":
    run(main)
