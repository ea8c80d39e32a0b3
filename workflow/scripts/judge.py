"""Let a judge score responses: per aspect 1 to 5 and a reason, or null and the cause.

Every answer is stored in a database at once: a killed run resumes where it stopped, and a rerun costs nothing. The
API key comes from the environment (OPENAI_API_KEY, or the variable that --key-variable names).
"""

import argparse
import logging
from pathlib import Path

from closerlook.config.judges import AskSettings
from closerlook.core.scripts import add_settings, read_settings, run


def main() -> None:
    """Responses and their evalset in, verdicts out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=Path, required=True, metavar="FILE", help="responses.parquet: id, text")
    parser.add_argument(
        "--evalset", type=Path, required=True, metavar="FILE", help="parquet: id, instruction, maybe reference"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="verdicts.parquet to write")
    from closerlook.judge.command import add_judge, open_judge

    add_judge(parser)
    add_settings(parser, AskSettings)
    arguments = parser.parse_args()
    ask = read_settings(arguments, AskSettings)

    from tqdm.contrib.logging import logging_redirect_tqdm

    from closerlook.judge.verdicts import judge

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("closerlook").setLevel(logging.INFO)
    with logging_redirect_tqdm(), open_judge(arguments, ask) as decide:
        judge(decide, arguments.responses, arguments.evalset, arguments.out)


if __name__ == "__main__":
    run(main)
