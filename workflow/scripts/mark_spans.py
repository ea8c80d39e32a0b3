"""Mark hallucinated spans of responses: by the miniature's truth, a judge, the model's own samples, or people.

Each marker has its own flags: `mark_spans.py judge --help`. Answers of a judge are cached, so a restarted run asks only for the
missing ones.
"""

import argparse
from pathlib import Path

from closerlook.config.markers import ConsistencySettings, MarkPrompt
from closerlook.core.scripts import add_settings, read_settings, run


def main() -> None:
    """Write SPANS with one of the markers."""
    arguments = _arguments()
    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import SPANS
    from closerlook.spans.marks import read_responses, summary

    responses = read_responses(arguments.responses, getattr(arguments, "evalset", None))
    if arguments.marker == "oracle":
        from closerlook.miniature.world import World
        from closerlook.spans.oracle import mark_by_oracle

        rows = mark_by_oracle(responses, World.load(arguments.world))
    elif arguments.marker == "judge":
        from closerlook.config.judges import AskSettings
        from closerlook.judge.command import open_model
        from closerlook.llm.client import LLMClient
        from closerlook.llm.prompt_file import read
        from closerlook.spans.judge import SLOTS, mark_by_judge

        settings = read_settings(arguments, MarkPrompt)
        prompt = read(Path(settings.prompt_file), SLOTS)
        with open_model(arguments, AskSettings(max_tokens=settings.max_tokens)) as model:
            rows = mark_by_judge(responses, LLMClient(model, "spans"), prompt, arguments.model)
    elif arguments.marker == "consistency":
        from closerlook.spans.consistency import mark_by_consistency

        rows = mark_by_consistency(responses, arguments.sampled, read_settings(arguments, ConsistencySettings))
    else:
        from closerlook.spans.human import mark_by_people

        rows = mark_by_people(responses, arguments.file, arguments.cell, arguments.evalset_name)
    write_parquet(rows, SPANS, arguments.out)
    print(summary(rows, responses))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    markers = parser.add_subparsers(dest="marker", required=True, metavar="MARKER")
    oracle, judge, consistency, human = (
        markers.add_parser(name, help=text, description=text)
        for name, text in {
            "oracle": "the miniature's truth, which is exact",
            "judge": "a model behind an endpoint, which quotes hallucinated text",
            "consistency": "words that answers sampled from the same model contradict (generate.py --samples)",
            "human": "people, whose spans are in a JSON or CSV file (format: closerlook.spans.human)",
        }.items()
    )
    for marker in (oracle, judge, consistency, human):
        marker.add_argument("--responses", type=Path, required=True, metavar="FILE", help="responses.parquet: id, text")
        marker.add_argument("--out", type=Path, required=True, metavar="FILE", help="parquet to write")
    for marker in (judge, consistency):
        marker.add_argument(
            "--evalset", type=Path, required=True, metavar="FILE", help="parquet with id and instruction"
        )
    oracle.add_argument("--world", type=Path, required=True, metavar="FILE", help="the miniature's world.json")
    from closerlook.judge.command import add_judge

    add_judge(judge)
    add_settings(judge, MarkPrompt)
    consistency.add_argument(
        "--sampled", type=Path, required=True, metavar="FILE", help="sampled answers, written by generate.py --samples"
    )
    add_settings(consistency, ConsistencySettings)
    human.add_argument("--file", type=Path, required=True, metavar="FILE", help="file of annotations")
    human.add_argument("--cell", required=True, metavar="NAME", help="cell, as the annotations name it")
    human.add_argument("--evalset-name", required=True, metavar="NAME", help="evalset, as the annotations name it")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
