"""Judging against a server that takes 200 ms for each call: calls per second, beside what concurrency / latency allows.

The server stands in a process of its own and does nothing but wait; prompts are of 3,600 characters, answers of 1,400, as with
gpt-4-1106-preview. Every answer is parsed and kept in the database. One process asks; a share of 90% and more is the aim.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

LATENCY = 0.2
ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
REPOSITORY = Path(__file__).parents[1]


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
    """Of a judge that is asked about as many responses as take so long."""
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
        judged = judge(cases, lambda one: None)
        took = time.perf_counter() - start
    assert all(verdict.score == 4 for one in judged for verdict in one.verdicts)
    return count / took


def main() -> None:
    """Measure each concurrency, in turn and several times; write judging.json and judging.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results"), metavar="DIR", help="folder to write to"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[4, 16, 32])
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
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
    lines = ["| concurrency | calls/s | concurrency / latency | share |", "| --: | --: | --: | --: |"]
    lines += [
        f"| {name} | {rate:.1f} | {int(name) / LATENCY:.0f} | {shares[name]:.1%} |" for name, rate in rates.items()
    ]
    about = f"{arguments.repeats} repeats; {os.cpu_count()} cores, {platform.machine()}; openai {version('openai')}."
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "judging.md").write_text(f"# Judging\n\n{__doc__}\n{about}\n\n" + "\n".join(lines) + "\n")
    result = {
        "runs": runs,
        "calls_per_second": rates,
        "share": shares,
        "repeats": arguments.repeats,
        "latency": LATENCY,
    }
    (arguments.out / "judging.json").write_text(json.dumps(result, indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
