"""Evaluation instructions that also occur in an instruction-tuning dataset, exactly or nearly.

Words are compared: casefolded, without punctuation, with symbols that carry meaning (+, /, =, #, ...), and one word per character
in scripts without spaces. The words of closerlook.text.words do not serve here: without symbols "2 + 2" would equal "2 - 2", and
with one word per run of Chinese, Chinese instructions would never be near.

Exact: the same words in the same order. Similarity: the Dice coefficient of the two multisets of words,
2 x (words in common) / (sum of both lengths), which is 1 for the same words in any order.

Near: similarity at least THRESHOLD = 0.9 ("why the sky is blue", "why is the sky blue"). Lower thresholds would match questions
of the same pattern: "what's the best way to learn how to make latte art" and "... to snowboard" have 0.82, "how do I make
escargot" and "... aioli" 0.80. So would characters: "what is the largest ocean in the world" and "who is the richest man in the
world" have 82% of their characters in common. Paraphrases in other words are not found, nor instructions within much longer ones.
"""

import re
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from rapidfuzz import process
from rapidfuzz.distance import Indel
from tqdm import tqdm

THRESHOLD = 0.9
EPSILON = 1e-9  # a similarity of exactly 0.9 is near even if rounding makes it smaller
BLOCK = 64  # evaluation instructions compared at a time: BLOCK x instances float32 in memory

_SPACELESS = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"  # Thai and Lao, kana, Chinese characters
_WORDS = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+|[+*/=<>#%$€£^~|&@\\]")


def comparable_words(text: str) -> list[str]:
    """The words of an instruction as compared; one of punctuation only is split at whitespace instead."""
    return _WORDS.findall(text.casefold()) or text.split()


def find_contamination(evalset: pa.Table, instances: pa.Table) -> list[dict[str, Any]]:
    """Exact and near pairs as rows of CONTAMINATION, by evaluation instruction, then by descending similarity.

    evalset: columns id, instruction; instances: columns id, instruction.
    """
    questions = [comparable_words(text) for text in evalset["instruction"].to_pylist()]
    # One character per word, sorted: the longest common subsequence of two such strings is the words in common, so rapidfuzz's
    # normalized indel similarity is the Dice coefficient. Words that the evalset lacks share a character that matches none.
    letters = {word: chr(code) for code, word in enumerate(sorted(set(chain.from_iterable(questions))), start=1)}
    bags = ["".join(sorted(letters[word] for word in words)) for words in questions]
    evalset_ids, instance_ids = evalset["id"].to_pylist(), instances["id"].to_pylist()
    instructions = instances["instruction"].to_pylist()
    rows, instance_bags = _possible_matches(instructions, letters)

    pairs: list[dict[str, Any]] = []
    for start in tqdm(range(0, len(bags), BLOCK), desc="contamination", unit=" blocks"):
        block = bags[start : start + BLOCK]
        scorer, cutoff = Indel.normalized_similarity, THRESHOLD - EPSILON
        similarity = process.cdist(block, instance_bags, scorer=scorer, score_cutoff=cutoff, dtype=np.float32)
        for question, similarities in enumerate(similarity, start):
            near = np.flatnonzero(similarities)
            for match in near[np.argsort(-similarities[near], kind="stable")]:
                row = rows[match]
                pairs.append(
                    {
                        "evalset_id": evalset_ids[question],
                        "instance_id": instance_ids[row],
                        "match": "exact" if questions[question] == comparable_words(instructions[row]) else "near",
                        "similarity": float(similarities[match]),
                    }
                )
    return pairs


def _possible_matches(instructions: list[str], letters: dict[str, str]) -> tuple[list[int], list[str]]:
    """Rows and sorted characters of the instructions that can be near an evaluation instruction, which few can.

    If the evalset does not use u of an instruction's m words, their Dice coefficient is at most 2 (m - u) / (2 m - u).
    """
    rows, bags = [], []
    for row, text in enumerate(instructions):
        bag = "".join(sorted(letters.get(word, "\0") for word in comparable_words(text)))
        if bag.count("\0") <= len(bag) * 2 * (1 - THRESHOLD) / (2 - THRESHOLD) + EPSILON:
            rows.append(row)
            bags.append(bag)
    return rows, bags
