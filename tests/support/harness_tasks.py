"""Tasks in lm-evaluation-harness's own format, one of each type that models are asked in, on a handful of made-up documents."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

WORDS = ["the", "cat", "and", "the", "dog", "said", "that", "they", "were", "in", "the", "house", "with", "a", "bird"]


def documents(count: int) -> list[dict[str, Any]]:
    """Documents with a question, choices, an answer, a text."""
    rows = []
    for number in range(count):
        rotated = WORDS[number % len(WORDS) :] + WORDS[: number % len(WORDS)]
        rows.append(
            {
                "question": f"Question {number}: {' '.join(rotated[: 3 + number % 5])}?",
                "choices": [rotated[3], f"{rotated[4]} {rotated[5]}", f"x{number}", "é 日"],
                "answer": number % 4,
                "text": " ".join(rotated * (1 + 12 * (number % 3))),
                "topic": ["cats", "dogs"][number % 2],
                "option": number % 2,
            }
        )
    return rows


MEAN = {"aggregation": "mean", "higher_is_better": True}
TASKS: dict[str, dict[str, Any]] = {
    "letters": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
        "doc_to_choice": ["A", "B", "C", "D"],
        "doc_to_target": "answer",
        "fewshot_split": "train",
        "num_fewshot": 2,
        "metric_list": [{"metric": "acc", **MEAN}],
    },
    "cloze": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}} ",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", **MEAN}, {"metric": "acc_norm", **MEAN}, {"metric": "exact_match", **MEAN}],
    },
    "inputs": {  # as WinoGrande: each choice is another context
        "output_type": "multiple_choice",
        "doc_to_text": "option",
        "doc_to_choice": "{{[question ~ ' ' ~ choices[0], question ~ ' ' ~ choices[1]]}}",
        "doc_to_target": "{{choices[3]}}",
        "metric_list": [{"metric": "acc", **MEAN}],
    },
    "last-word": {  # as LAMBADA
        "output_type": "loglikelihood",
        "doc_to_text": "{{question}}",
        "doc_to_target": " {{choices[1]}}",
        "metric_list": [
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
            {"metric": "acc", **MEAN},
        ],
    },
    "texts": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}],
    },
    "exact": {  # as GSM8K: two filters
        "output_type": "generate_until",
        "doc_to_text": "{{question}}\nAnswer:",
        "doc_to_target": "{{choices[0]}}",
        "generation_kwargs": {"until": ["\n", "th"], "do_sample": False, "max_gen_toks": 12},
        "filter_list": [
            {"name": "strict", "filter": [{"function": "take_first"}]},
            {
                "name": "first-letter",
                "filter": [{"function": "regex", "regex_pattern": "([a-z])"}, {"function": "take_first"}],
            },
        ],
        "metric_list": [{"metric": "exact_match", **MEAN}],
    },
    "several-answers": {  # as TriviaQA
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "choices",
        "generation_kwargs": {"until": ["."], "do_sample": False, "max_gen_toks": 8},
        "metric_list": [{"metric": "exact_match", "ignore_case": True, **MEAN}],
    },
    "instructions": {  # as IFEval: each document has checks of its own
        "output_type": "generate_until",
        "doc_to_text": "{{text}}",
        "doc_to_target": 0,
        "generation_kwargs": {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 16},
        "process_results": "!function checks.process_results",
        "metric_list": [
            {"metric": "all_followed", **MEAN},
            {"metric": "followed", "aggregation": "!function checks.share", "higher_is_better": True},
        ],
    },
}
CHECKS = """
def process_results(doc, results):
    response = results[0]
    followed = ["," not in response, response.islower(), len(response.split()) >= doc["answer"]]
    return {"all_followed": all(followed), "followed": followed}


def share(items):
    return sum(map(sum, items)) / sum(map(len, items))
"""


def write_tasks(folder: Path, count: int = 12) -> None:
    """Write each task as <name>.yaml, a group of two of them as pair.yaml, and the documents."""
    (folder / "checks.py").write_text(CHECKS)
    for split, rows in (("test", documents(count)), ("train", documents(40)[count:])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, task in TASKS.items():
        data = {split: str(folder / f"{split}.jsonl") for split in ("test", "train")}
        common = {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": data}, "test_split": "test"}
        text = re.sub(r"'(!function [a-z_.]+)'", r"\1", yaml.safe_dump(common | task))
        (folder / f"{name}.yaml").write_text(text)
