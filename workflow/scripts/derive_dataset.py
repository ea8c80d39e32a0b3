"""Make a dataset from a prepared one: its responses simplified, the longest first, those whose score is high enough, or without
the instances that spans were traced to.

Writes a parquet file of instances and a JSON report that counts what became of every row. Answers of a model are kept as they
come: stopped and started again, it asks for the others alone.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import run

if TYPE_CHECKING:
    import pyarrow as pa

    from closerlook.config.derived import AblationSettings, SimplifySettings
    from closerlook.derive.simplify import Simplified

TRACED = {
    "spans": "spans of the cell's responses",
    "trace": "their trace",
    "responses": "the responses",
    "evalset": "the instructions that they answer",
    "index": "folder of the dataset's index",
    "embeddings": "folder of its embeddings, by which similar instances are chosen; none: by BM25",
}


def main() -> None:
    """Read, transform, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="name of the new dataset in the catalog")
    parser.add_argument("--dataset", type=Path, required=True, help="parquet file of the dataset that it is made from")
    parser.add_argument(
        "--transform",
        type=Path,
        required=True,
        help='JSON file, as a source in the catalog: {"of": name, "longest": true}',
    )
    parser.add_argument(
        "--source", type=Path, help="JSON file: where that dataset was read from, for minimum_score without `scores`"
    )
    traced = parser.add_argument_group("without", "where --dataset is what the cell was tuned on")
    for name, what in TRACED.items():
        traced.add_argument(f"--{name}", type=Path, metavar="PATH", help=what)
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    from closerlook.judge.command import add_judge

    add_judge(parser, required=False)
    arguments = parser.parse_args()

    from closerlook.config.derived import DERIVED_SOURCES, AblatedSource, LongestSource, ScoredSource
    from closerlook.config.source_files import ROW_SOURCES, read_source
    from closerlook.core.files import write_json, write_parquet
    from closerlook.core.schemas import INSTANCES
    from closerlook.data.instances import read_as
    from closerlook.derive.select import filter_by_score, finish_dataset, read_scores, sort_by_length

    transform, before = read_source(arguments.transform, DERIVED_SOURCES), read_as(INSTANCES, arguments.dataset)
    facts: dict[str, Any] = {}
    if isinstance(transform, LongestSource):
        after, tally = sort_by_length(before)
    elif isinstance(transform, ScoredSource):
        rows = read_source(arguments.source, ROW_SOURCES) if arguments.source else None
        after, tally = filter_by_score(before, read_scores(before, transform, rows), transform.minimum_score)
    elif isinstance(transform, AblatedSource):
        after, tally, facts = _exclude(before, transform.without, arguments)
    else:
        after, tally, facts = _simplify(before, transform.simplify, arguments)
    table, report = finish_dataset(before, after, tally, arguments.name, transform)
    write_parquet(table, INSTANCES, arguments.out)
    write_json(facts | report, arguments.report)
    print(f"{arguments.name}: {tally}")


def _simplify(before: "pa.Table", settings: "SimplifySettings", arguments: argparse.Namespace) -> "Simplified":
    from closerlook.config.judges import AskSettings
    from closerlook.derive.simplify import simplify_by_model, simplify_by_rules
    from closerlook.judge.command import open_model

    if arguments.judge is None:
        raise CloserlookError(
            "--judge: found nothing, expected who simplifies: openai, local, or oracle for the miniature"
        )
    if arguments.judge == "oracle":
        return simplify_by_rules(before, settings)
    with open_model(arguments, AskSettings(max_tokens=settings.max_tokens)) as model:
        return simplify_by_model(before, settings, model)


def _exclude(before: "pa.Table", settings: "AblationSettings", arguments: argparse.Namespace) -> "Simplified":
    from closerlook.derive.ablate import AblationFiles, exclude

    files = {name: getattr(arguments, name) for name in TRACED}
    if missing := [f"--{name}" for name, path in files.items() if path is None and name != "embeddings"]:
        raise CloserlookError(
            f"{', '.join(missing)}: found nothing, expected what a dataset without traced instances needs"
        )
    return exclude(before, settings, AblationFiles(**files))


if __name__ == "__main__":
    run(main)
