"""Judging with a server that takes 200 ms for each call: calls per second, compared with what concurrency / latency allows.

The server is a process of its own that only waits. Prompts have 3,600 characters and answers 1,400, as with gpt-4-1106-preview.
Every answer is parsed and stored in the database. One process sends all calls. The aim is a share of at least 90%.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import REPOSITORY, make_parser, setting, table, write

LATENCY = 0.2
ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")


def serve() -> None:
    """Answer each call after 200 ms, until the input ends."""
    sys.path.insert(0, str(REPOSITORY))
    from tests.support.judge_server import Server, says

    def behave(call):
        reply = says(json.dumps({aspect: {"reason": "so it is. " * 23, "score": "4"} for aspect in ASPECTS}))
        reply.seconds = LATENCY
        return reply

    with Server(behave) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def calls_per_second(url: str, concurrency: int, seconds: float) -> float:
    """The rate of a judge that gets as many responses as the server should answer in `seconds`."""
    from closerlook.config.judges import AskSettings, OpenAIJudge
    from closerlook.judge.aspects import Case
    from closerlook.judge.prompt_judge import make_prompt_judge, read_prompt
    from closerlook.llm.cache import Cache
    from closerlook.llm.endpoint import Endpoint

    count = round(seconds * concurrency / LATENCY)
    cases = [Case(str(i), f"instruction {i}", "a word " * 180) for i in range(count)]
    with tempfile.TemporaryDirectory() as folder, Cache(Path(folder) / "cache.sqlite") as cache:
        endpoint = Endpoint(OpenAIJudge(openai="judge", base_url=url, concurrency=concurrency), cache)
        ask = AskSettings()
        judge = make_prompt_judge(endpoint, "judge", read_prompt(Path(ask.prompt_file)), ask)
        start = time.perf_counter()
        judged = judge(cases, lambda _: None)
        elapsed = time.perf_counter() - start
    assert all(verdict.score == 4 for result in judged for verdict in result.verdicts)
    return count / elapsed


def main() -> None:
    """Measure each concurrency, in turn and several times; write the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[4, 16, 32])
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each measurement")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    os.environ.setdefault("OPENAI_API_KEY", "none")
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        url = server.stdout.readline().strip()
        runs = [
            {str(c): calls_per_second(url, c, arguments.seconds) for c in arguments.concurrency}
            for _ in range(arguments.repeats)
        ]
        server.stdin.close()
    rates = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    shares = {name: rate * LATENCY / int(name) for name, rate in rates.items()}
    rows = [[name, f"{rate:.1f}", f"{int(name) / LATENCY:.0f}", f"{shares[name]:.1%}"] for name, rate in rates.items()]
    lines = table("rrrr", ["concurrency", "calls/s", "concurrency / latency", "share"], rows)
    result = {"runs": runs, "calls_per_second": rates, "share": shares}
    result |= {"repeats": arguments.repeats, "latency": LATENCY}
    write(arguments.out, "judging", __doc__, setting(arguments.repeats, "openai"), lines, result)


if __name__ == "__main__":
    main()
