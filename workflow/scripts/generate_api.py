"""Answer an evalset with an API model, at temperature 0.

Every answer is cached as soon as it arrives: a killed run resumes where it stopped, and a rerun costs nothing. The API key comes
from the environment (OPENAI_API_KEY, or the variable that --key-variable names).
"""

import argparse
import logging
from pathlib import Path

from closerlook.config.cell import read_cell_config
from closerlook.core.scripts import run


def main() -> None:
    """Write the responses of an API model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with id and instruction")
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help="the cell's config.json: its template and the longest response are used",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="responses.parquet to write")
    from closerlook.judge.command import add_judge, open_model

    add_judge(parser)
    arguments = parser.parse_args()

    from tqdm.contrib.logging import logging_redirect_tqdm

    from closerlook.config.judges import AskSettings
    from closerlook.llm.client import LLMClient
    from closerlook.llm.generate_api import generate_api

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("closerlook").setLevel(logging.INFO)
    config = read_cell_config(arguments.config)
    longest = config.generate.max_new_tokens
    with logging_redirect_tqdm(), open_model(arguments, AskSettings(max_tokens=longest)) as model:
        generate_api(LLMClient(model, "answer"), arguments.evalset, config.template.text, longest, arguments.out)


if __name__ == "__main__":
    run(main)
