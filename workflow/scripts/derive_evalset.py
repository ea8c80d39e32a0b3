"""Paraphrase the instructions of an evalset.

Writes a parquet file of instructions and a JSON report that counts what became of every wording. Answers of a model are kept as
they come: stopped and started again, it asks only for the others.
"""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """Read, ask, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="name of the new evalset in the catalog")
    parser.add_argument("--evalset", type=Path, required=True, help="parquet file of the evalset that it is made from")
    parser.add_argument(
        "--transform",
        type=Path,
        required=True,
        help='JSON file, as a source in the catalog: {"of": name, "paraphrase": {"by": judge}}',
    )
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    from closerlook.judge.command import add_judge

    add_judge(parser)
    arguments = parser.parse_args()

    from closerlook.config.judges import AskSettings
    from closerlook.config.source_files import PARAPHRASED_SOURCES, read_source
    from closerlook.core.files import write_json, write_parquet
    from closerlook.core.schemas import EVALSET
    from closerlook.data.instances import read_as
    from closerlook.derive.paraphrase import paraphrase_by_model, paraphrase_by_rules
    from closerlook.judge.command import open_model

    settings = read_source(arguments.transform, PARAPHRASED_SOURCES).paraphrase
    before = read_as(EVALSET, arguments.evalset)
    if arguments.judge == "oracle":
        table, tally, facts = paraphrase_by_rules(before, arguments.name, settings)
    else:
        with open_model(arguments, AskSettings(max_tokens=settings.max_tokens)) as model:
            table, tally, facts = paraphrase_by_model(before, arguments.name, settings, model)
    done = settings.model_dump() | {"prompt_file": Path(settings.prompt_file).name}
    write_parquet(table, EVALSET, arguments.out)
    write_json(facts | {"paraphrase": done} | tally.report(), arguments.report)
    print(f"{arguments.name}: {tally}")


if __name__ == "__main__":
    run(main)
