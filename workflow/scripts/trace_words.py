"""Look up shifted words in a dataset, and the longest run of the response around each of them that occurs there."""

import argparse
from pathlib import Path

from closerlook.core.scripts import add_index, run


def main() -> None:
    """Write WORDS: a row per shifted or marginal word."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("responses", "shift"):
        text = f"{name}.parquet of the cell on the evalset"
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with the instructions")
    add_index(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="parquet file to write")
    arguments = parser.parse_args()

    from closerlook.core import schemas
    from closerlook.core.files import write_parquet
    from closerlook.spans.inputs import read_instructions
    from closerlook.trace.indexed_dataset import IndexedDataset
    from closerlook.trace.passages import Passages, word_classes
    from closerlook.trace.shifted_words import trace_words

    passages = Passages.read(arguments.responses)
    instructions = read_instructions(arguments.evalset, passages.ids)
    classes = word_classes(passages, arguments.shift)
    dataset = IndexedDataset.open(arguments.index.name, arguments.index, arguments.embeddings)
    write_parquet(trace_words(passages, classes, instructions, dataset), schemas.WORDS, arguments.out)


if __name__ == "__main__":
    run(main)
