"""Benchmark tasks through our packed passes, compared with lm-evaluation-harness's own `hf` backend: seconds for the same items.

Gemma 3 270M base (or the model given) in float32, on real questions: letters, 48 of MMLU's dev questions with two examples, each
answered by a letter; cloze, 48 of BIG-bench's general knowledge and date understanding, each choice spelled out; texts, 12 of C4,
whole; responses, 32 questions of qa_wikidata, 16 new tokens each. The hf backend runs with batch_size auto (it tries a
batch of 8, and half of it where that is too large; with 64, its default, a CPU runs out of memory) and with a batch of 8, both on
contexts of 512 tokens at most. What loads a model is not measured; what auto tries is. Then the base model and three random LoRA
adapters of rank 8, all on one load of ours.
"""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import SHARED, expect_shared, in_process, make_parser, medians, names, read_jsonl, setting, table, write

KNOWLEDGE = SHARED / "knowledge"
HF = {"hf, batch auto": "auto", "hf, batch 8": 8}
OURS = "ours"
ADAPTERS = 3
CONTEXT = 512


def write_tasks(folder: Path) -> list[Path]:
    """The tasks in lm-evaluation-harness's format, one file each."""
    import yaml

    rows = {
        "letters": read_jsonl(KNOWLEDGE / "mmlu_dev.jsonl")[:48],
        "cloze": [
            row
            for file in ("general_knowledge", "date_understanding")
            for row in read_jsonl(KNOWLEDGE / f"{file}.jsonl")[:24]
        ],
        "texts": [{"text": row["text"][:1600]} for row in read_jsonl(SHARED / "text/c4_300.jsonl")[:12]],
        "responses": read_jsonl(KNOWLEDGE / "qa_wikidata_3k.jsonl")[:32],
    }
    acc, exact = ({"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "exact_match"))
    kinds: dict[str, dict[str, Any]] = {
        "letters": {
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}\n"
            + "".join(f"{letter}. {{{{choices[{i}]}}}}\n" for i, letter in enumerate("ABCD"))
            + "Answer:",
            "doc_to_choice": ["A", "B", "C", "D"],
            "doc_to_target": "answer",
            "fewshot_split": "test",
            "num_fewshot": 2,
            "metric_list": [acc],
        },
        "cloze": {
            "output_type": "multiple_choice",
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_choice": "choices",
            "doc_to_target": "answer",
            "metric_list": [acc],
        },
        "texts": {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "bits_per_byte"}],
        },
        "responses": {
            "output_type": "generate_until",
            "doc_to_text": "{{prompt}}",
            "doc_to_target": "{{answers[0]}}",
            "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 16},
            "metric_list": [exact],
        },
    }
    files = []
    for name, kind in kinds.items():
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows[name]))
        common = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
        }
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump(common | kind))
    return files


def measure_ours(model: Path, tasks: Path) -> dict[str, Any]:
    """Seconds and answers by task."""
    from closerlook.benchmarks.answers import Answerer
    from closerlook.benchmarks.harness import read_harness
    from closerlook.config.benchmarks import HarnessTask

    answerer, result = Answerer(model, precision="float32"), {}
    for file in sorted(tasks.glob("*.yaml")):
        items = read_harness(HarnessTask(harness=str(file)), None)
        requests = [request for item in items for request in item.requests]
        answerer.ask(requests[:1], None)  # loads the model
        start = time.perf_counter()
        answers = answerer.ask(requests, None)
        seconds = time.perf_counter() - start
        result[file.stem] = {"seconds": seconds, "answers": [answer.response or answer.log_prob for answer in answers]}
    return result


def measure_hf(model: Path, tasks: Path, batch_size: str | int) -> dict[str, Any]:
    """The same of the hf backend."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    how: dict[str, Any] = {"device": "cpu", "dtype": "float32", "batch_size": batch_size, "max_batch_size": 8}
    result = {}
    for file in sorted(tasks.glob("*.yaml")):
        # It puts two tokens that begin a text in front of a text that is read whole, if the tokenizer adds one too.
        backend = HFLM(pretrained=str(model), max_length=CONTEXT, add_bos_token=file.stem != "texts", **how)
        (task,) = TaskManager(include_defaults=False).load(str(file))["tasks"].values()
        task.set_fewshot_seed(1234)
        task.build_all_requests()
        requests = task.instances
        answer = getattr(backend, requests[0].request_type)
        start = time.perf_counter()
        answers = answer(requests)
        seconds = time.perf_counter() - start
        plain = [given[0] if isinstance(given, tuple) else given for given in answers]
        result[file.stem] = {"seconds": seconds, "answers": plain}
    return result


def measure_adapters(model: Path, tasks: Path) -> dict[str, Any]:
    """Seconds of the base model and of each adapter, on one load, over the choices."""
    from closerlook.benchmarks.answers import Answerer
    from closerlook.benchmarks.harness import read_harness
    from closerlook.config.benchmarks import HarnessTask
    from closerlook.models.load import load_base
    from common import with_adapter

    folders = [tasks / f"adapter{number}" for number in range(ADAPTERS)]
    for folder in folders:
        with_adapter(load_base(model)).save_pretrained(folder)
    files = [tasks / f"{name}.yaml" for name in ("letters", "cloze")]
    requests = [
        r for file in files for item in read_harness(HarnessTask(harness=str(file)), None) for r in item.requests
    ]
    answerer = Answerer(model, folders, precision="float32")
    answerer.ask(requests[:1], None)  # loads the models
    seconds = []
    for tuned in (None, *folders):
        start = time.perf_counter()
        answerer.ask(requests, tuned)
        seconds.append(time.perf_counter() - start)
    return {"base": seconds[0], "adapter": sum(seconds[1:]) / ADAPTERS}


def main() -> None:
    """Measure each way in turn, write the tables."""
    parser = make_parser(__doc__ or "")
    parser.add_argument("--model", type=Path, default=Path("build/gemma-3-270m"), metavar="DIR", help="a real model")
    parser.add_argument("--measure", nargs=2, help="one way, on the tasks in a folder (used by the program itself)")
    arguments = parser.parse_args()
    if arguments.measure:
        way, tasks = arguments.measure[0], Path(arguments.measure[1])
        if way == "adapters":
            found = measure_adapters(arguments.model, tasks)
        else:
            found = measure_ours(arguments.model, tasks) if way == OURS else measure_hf(arguments.model, tasks, HF[way])
        (tasks / f"{way}.json").write_text(json.dumps(found))
        print(
            json.dumps({name: value if isinstance(value, float) else value["seconds"] for name, value in found.items()})
        )
        return
    expect_shared(KNOWLEDGE)
    with TemporaryDirectory() as name:
        folder = Path(name)
        tasks = [file.stem for file in write_tasks(folder)]

        def run(way: str) -> dict[str, float]:
            return in_process(way, __file__, "--model", arguments.model, "--measure", way, folder)

        runs = [{way: run(way) for way in (OURS, *HF)} for _ in range(arguments.repeats)]
        shared = [run("adapters") for _ in range(arguments.repeats)]
        answers = {way: json.loads((folder / f"{way}.json").read_text()) for way in (OURS, *HF)}
    rows, differences = [], {}
    for task in tasks:
        seconds = medians(runs, lambda run, way, task=task: run[way][task])
        ratios = medians(runs, lambda run, way, task=task: run[way][task] / run[OURS][task])
        ours, theirs = (answers[way][task]["answers"] for way in (OURS, "hf, batch 8"))
        equal = [abs(a - b) if isinstance(a, float) else float(a != b) for a, b in zip(ours, theirs, strict=True)]
        differences[task] = max(equal)
        told = f"{sum(map(bool, equal))} of {len(equal)} differ" if task == "responses" else f"{max(equal):.0e} nats"
        rows.append([task, f"{seconds[OURS]:.1f}", *(f"{seconds[way]:.1f} ({ratios[way]:.1f})" for way in HF), told])
    lines = table(
        "lrrrr", ["task", "ours, seconds", *(f"{way} (times ours)" for way in HF), "largest difference"], rows
    )
    cost = sorted(run["adapter"] / run["base"] for run in shared)[len(shared) // 2]
    lines += ["", f"On one load, an adapter takes {cost:.2f} times as long as the base model."]
    result = {"runs": runs, "adapters": shared, "adapter_over_base": cost, "largest_difference": differences}
    stem, title = names("scoring", arguments.model)
    about = setting(arguments.repeats, "torch", "transformers", "lm-eval")
    write(arguments.out, stem, __doc__ or "", about, lines, result, title)


if __name__ == "__main__":
    main()
