"""What the page's scripts and the build must agree on. It is exported into site.js, so that no script has a copy."""

from collections.abc import Callable
from functools import cache
from itertools import groupby
from typing import Any

from closerlook.core.schemas import CLASS_RANKS, CLASSES, RANKERS
from closerlook.report.page import cell, instances, tokens
from closerlook.text.escape import SYMBOLS, is_visible
from closerlook.text.words import EXTEND, LETTER, PREPEND, character_class, word_pattern
from closerlook.trace.phrases import NGRAMS

CODE_POINTS = [*range(0xD800), *range(0xE000, 0x110000)]  # without surrogates


@cache
def constants() -> dict[str, Any]:
    """Names, thresholds, scales and rules of text. `word` and `hidden` are regular expressions for JavaScript's flag u."""
    return {
        "classes": CLASSES,
        "class_ranks": CLASS_RANKS,
        "rankers": (RANKERS[-1], *RANKERS[:-1]),  # the fused ranking, which orders the candidates, comes first
        "longest_phrase": max(NGRAMS),
        "shard": instances.SHARD,
        "missing": cell.MISSING,
        "steps": {"prob": tokens.PROB_STEPS, "kl": tokens.KL_STEPS, "top_probs": tokens.TOP_STEPS},
        "kl_most": (tokens.KL_MOST / tokens.KL_STEPS) ** 2,
        "unlikely": tokens.UNLIKELY,
        "scales": cell.SCALES,
        "word": word_pattern(*(_expanded(character_class(name).fullmatch) for name in (PREPEND, LETTER, EXTEND))),
        "casefold": {c: c.casefold() for c in map(chr, CODE_POINTS) if c.casefold() != c},
        "symbols": SYMBOLS,
        "hidden": _expanded(lambda character: not is_visible(character)),
    }


def _expanded(matches: Callable[[str], object]) -> str:
    """The class of all characters that `matches` accepts, as ranges: browsers have different versions of Unicode."""
    matching = (point for point in CODE_POINTS if matches(chr(point)))
    runs = [[point for _, point in run] for _, run in groupby(enumerate(matching), key=lambda pair: pair[1] - pair[0])]
    return "[" + "".join(f"\\u{{{run[0]:x}}}-\\u{{{run[-1]:x}}}" for run in runs) + "]"
