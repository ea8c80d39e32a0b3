"""Evaluation instructions that an instruction-tuning set asks too, word for word or nearly.

Compared are words: case folded, punctuation and white space dropped, symbols that carry meaning (+, /, =, #, ...) kept, scripts
without spaces split by character.

These are not the words of closerlook.text.words, which drop symbols and keep runs of Chinese whole: "2 + 2" and "2 - 2" would be
the same, and Chinese instructions never near.

Exact means the same words in the same order. Similarity is the Dice coefficient of the two
multisets of words, 2 x (words in common) / (sum of both lengths), so 1 for the same words in any order.

Near means at least THRESHOLD = 0.9: nine of ten words agree, wherever they stand ("why the sky is blue", "why is the sky blue").
Below that, sentence patterns with another filling come in: "what's the best way to learn how to make latte art" and "... to
snowboard" have 0.82, "how do I make escargot" and "... aioli" 0.80. Words rather than characters for the same reason: "what is
the largest ocean in the world" and "who is the richest man in the world" agree in 82% of their characters. A paraphrase in other
words is not found, nor is an instruction that stands inside a much longer one.
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
EPSILON = 1e-9  # exactly 0.9 is near, however it is rounded
BLOCK = 64  # evaluation instructions compared at a time: BLOCK x instances float32 in memory

_SPACELESS = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"  # Thai and Lao, kana, Chinese characters
_WORDS = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+|[+*/=<>#%$€£^~|&@\\]")


def words(text: str) -> list[str]:
    """What is compared of an instruction; one made of nothing but punctuation is compared as it stands."""
    return _WORDS.findall(text.casefold()) or text.split()


def find_contamination(evalset: pa.Table, instances: pa.Table) -> list[dict[str, Any]]:
    """Pairs that ask the same, as rows of schema CONTAMINATION, by evaluation instruction, then by descending similarity.

    evalset: columns id, instruction; instances: columns id, instruction.
    """
    asked = [words(text) for text in evalset["instruction"].to_pylist()]
    # A character per word, sorted: the longest common subsequence of two such strings is the words they share, so rapidfuzz's
    # normalised indel similarity is the Dice coefficient. Words the evalset never uses match nothing and share one character.
    letters = {word: chr(code) for code, word in enumerate(sorted(set(chain.from_iterable(asked))), start=1)}
    bags = ["".join(sorted(letters[word] for word in text)) for text in asked]
    evalset_ids, instance_ids = evalset["id"].to_pylist(), instances["id"].to_pylist()
    taught = instances["instruction"].to_pylist()
    places, taught_bags = _comparable(taught, letters)

    pairs: list[dict[str, Any]] = []
    for start in tqdm(range(0, len(bags), BLOCK), desc="contamination", unit=" blocks"):
        block = bags[start : start + BLOCK]
        scorer, cutoff = Indel.normalized_similarity, THRESHOLD - EPSILON
        similarity = process.cdist(block, taught_bags, scorer=scorer, score_cutoff=cutoff, dtype=np.float32)
        for question, row in enumerate(similarity, start):
            found = np.flatnonzero(row)
            for place in found[np.argsort(-row[found], kind="stable")]:
                instance = places[place]
                pairs.append(
                    {
                        "evalset_id": evalset_ids[question],
                        "instance_id": instance_ids[instance],
                        "match": "exact" if asked[question] == words(taught[instance]) else "near",
                        "similarity": float(row[place]),
                    }
                )
    return pairs


def _comparable(taught: list[str], letters: dict[str, str]) -> tuple[list[int], list[str]]:
    """Places and bags of the instructions that can be near at all; most cannot, which saves most of the time.

    u of m words that the evalset never uses leave at most a Dice coefficient of 2 (m - u) / (2 m - u).
    """
    places, bags = [], []
    for place, text in enumerate(taught):
        bag = "".join(sorted(letters.get(word, "\0") for word in words(text)))
        if bag.count("\0") <= len(bag) * 2 * (1 - THRESHOLD) / (2 - THRESHOLD) + EPSILON:
            places.append(place)
            bags.append(bag)
    return places, bags
