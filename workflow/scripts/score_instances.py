"""Score every instance of a dataset for each marked span by every ranker."""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """Write INSTANCE_SCORES: a row per span."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=Path, required=True, metavar="FILE", help="responses.parquet of the cell")
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with the instructions")
    parser.add_argument("--spans", type=Path, required=True, metavar="FILE", help="spans of these responses")
    parser.add_argument("--index", type=Path, required=True, metavar="DIR", help="index, written by build_index.py")
    parser.add_argument(
        "--embeddings",
        type=Path,
        metavar="DIR",
        help="embeddings of the dataset, or of one that begins with it (default: none)",
    )
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
    from closerlook.spans.inputs import read_instructions
    from closerlook.trace.indexed_dataset import IndexedDataset
    from closerlook.trace.instance_scores import score_instances
    from closerlook.trace.marked import MarkedResponses, read_attribution
    from closerlook.trace.passages import Passages, read_spans

    passages = Passages.read(arguments.responses)
    marked = MarkedResponses(
        passages,
        read_instructions(arguments.evalset, passages.ids),
        read_spans(arguments.spans, passages),
        None,
        read_attribution(arguments.attribution) if arguments.attribution else {},
    )
    dataset = IndexedDataset.open(arguments.index.name, arguments.index, arguments.embeddings)
    write_parquet(score_instances(marked, dataset), schemas.INSTANCE_SCORES, arguments.out)


if __name__ == "__main__":
    run(main)
