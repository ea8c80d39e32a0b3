"""Embed the instances of a dataset with a Sentence-BERT model, to find the most similar ones.

Resumes after a kill. Uses a GPU if there is one. Downloads a model only if it is named by its hub id and not in the cache.
"""

import argparse
from pathlib import Path

from closerlook.config.markers import Tracing
from closerlook.core.scripts import run


def main() -> None:
    """Write the embeddings of a dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dataset",
        type=Path,
        required=True,
        metavar="FILE",
        help="id, instruction, response: parquet written by prepare_dataset.py, or JSON Lines (.jsonl)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    embedder = Tracing.model_fields["embedder"]
    parser.add_argument(
        "--embedder", default=embedder.default, help=f"{embedder.description} (default: {embedder.default})"
    )
    arguments = parser.parse_args()

    from closerlook.trace.embeddings import Embeddings, pair_text
    from closerlook.trace.index import read_instances

    instances = read_instances(arguments.dataset)
    texts = list(map(pair_text, instances["instruction"].to_pylist(), instances["response"].to_pylist()))
    vectors = Embeddings.build(texts, arguments.embedder, arguments.out).vectors
    print(f"{len(vectors):,} instances embedded in {vectors.shape[1]:,} dimensions")


if __name__ == "__main__":
    run(main)
