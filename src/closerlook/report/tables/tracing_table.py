"""The tables of tracing: what they say and what they read."""

from collections.abc import Iterable, Iterator

from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, Part, Row, Table, names_of

BORROWING_FILE = "cells/{cell}/{evalset}/borrowing.parquet"
RESPONSES_FILE = "cells/{cell}/{evalset}/responses.parquet"
SPANS_FILE = "cells/{cell}/{evalset}/spans/{marker}.parquet"
TRACE_FILE = "cells/{cell}/{evalset}/trace/{marker}.parquet"
SUBSET_FILE = "data/{subset}.parquet"

_MARKED = (*IDENTITY, "marker")


def searched(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells whose responses are searched for in a dataset: their own, in `own`, before any other."""
    return (row | {"own": names[0]} for row in grid if (names := names_of(row, "searched")))


def traced(grid: Iterable[Row]) -> Iterator[Row]:
    """A row of these per marker of spans, in `marker`."""
    return (row | {"marker": marker} for row in searched(grid) for marker in names_of(row, "markers"))


def calibrated(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells whose responses are also searched for in a dataset that they were not tuned on."""
    return (row for row in searched(grid) if len(names_of(row, "searched")) > 1)


BORROWING = Table(
    title="Borrowing by n-gram length, beside chance",
    caption=(
        "Phrases of a response that stand in a dataset, whole words, case ignored. Units: n-grams that begin with a word whose "
        "first token is shifted, marginal or unshifted (section 4: 81.2% for shifted, 66.7% for marginal, without a chance "
        "level), and n-grams of marked spans: those within a span of n words or more, those of the response around a shorter "
        "one; n = 0 is the span whole. Where: all instances, or those most similar to the instruction. Chance levels: the same "
        "phrases in an unrelated dataset of as many words, in all of it where it has fewer (among similar: in its instances "
        "most similar to the same instruction); the same in the instances similar to other instructions (permuted); other "
        "phrases of the cell's answers to other prompts, as long, as rare, beginning where tuning moved nothing (matched); all "
        "n-grams of the base model's own answer (base_answer). Corrected: (observed - chance) / (1 - chance), undefined where "
        "chance is 1; intervals resample observed and chance together, leaving resamples out where it is undefined. They say "
        "nothing of what another unrelated dataset would give."
    ),
    metrics=metrics.BORROWING,
    keys=("searched", "unit", "where", "null", "ngram"),
    spread=("ngram",),
    sections={"Corrected": ("corrected",), "Observed": ("observed",), "Chance": ("chance",)},
    asks_for="searched",
    parts=(
        Part(
            IDENTITY,
            (BORROWING_FILE,),
            "closerlook.report.tables.borrowing:by_cell",
            tuple(metrics.BORROWING),
            over=searched,
        ),
    ),
)

ORIGIN = Table(
    title="Do marked spans come from the instruction data?",
    caption=(
        "Share of the marked spans that come from the dataset (Figure 8), by every criterion there is, beside its chance. "
        "Verbatim: the span whole, case-sensitive, stands in some instance, maybe within a longer word. Words: its words side "
        "by side do, case ignored. Two thirds: a run of at least two thirds of its words does. Similar: its words stand in one "
        "of the instances most similar to the instruction. First by a ranker: its words stand in the instance that the ranker "
        "places first. Human: a person named an instance. Chance: of matched phrases (as long, as rare, from answers to other "
        "prompts), of the same in an unrelated dataset, or of the same in the instances found for another response (permuted). "
        "A ranker picks an instance for what it shares with the span, so it holds the span's words more often than one picked "
        "for another span even where nothing was borrowed: no corrected rate is given for it. Null: responses without a span. "
        "Where every span is found, resampling knows no other value: that the interval has no width does not make it certain."
    ),
    metrics=metrics.ORIGIN,
    keys=("marker", "criterion", "null"),
    asks_for="searched",
    parts=(
        Part(
            _MARKED,
            (SPANS_FILE, TRACE_FILE, BORROWING_FILE, SUBSET_FILE),
            "closerlook.report.tables.origin:by_cell",
            ("from_data",),
            over=traced,
            together=_MARKED,
        ),
    ),
)

SIMILARITY = Table(
    title="Similarity of responses to the instances they are traced to",
    caption=(
        "The pair of instruction and response beside that of the first traced instance, means over marked spans: Sentence-BERT "
        "cosine (the paper: 0.418) and keyword overlap, mean over 1- to 3-grams (the paper: 61.6%). Chance: the same instance "
        "beside the pair of another evaluation instruction. An instance that was picked for being similar is so even where "
        "nothing was borrowed; the difference says how alike it is, not that it is the source. Null: responses with spans for "
        "none of which the ranker names an instance."
    ),
    metrics=metrics.SIMILARITY,
    keys=("marker", "ranker"),
    asks_for="searched",
    parts=(
        Part(
            _MARKED, (TRACE_FILE,), "closerlook.report.tables.origin:similarity", tuple(metrics.SIMILARITY), over=traced
        ),
    ),
)

SCOREBOARD = Table(
    title="Tracing scored against the truth",
    caption=(
        "On the miniature. Sources: the true sources of a wrong value are the instances that state it for that attribute; over "
        "the marked spans that have one, how often a ranker's first candidate is one, how many of them (of as many as fit) are "
        "among its first candidates, and the mean of 1 / rank of the first one (0 beyond these), beside what is expected of a "
        "random order. A word of the miniature is a value of one attribute only, so that who finds the word has found a "
        "source: lexical search is as good here as it can be. Calibration: corrected borrowing from a dataset that the cell "
        "was not tuned on, which should be 0, and the share of intervals, over units and n-gram lengths, that hold 0 (n: "
        "intervals; those of phrases that neither dataset holds say nothing and are left out)."
    ),
    metrics=metrics.SCOREBOARD,
    keys=("part", "marker", "ranker", "searched", "unit", "where", "null", "ngram"),
    spread=("ngram",),
    sections={"Sources": tuple(metrics.SOURCES), "Calibration": tuple(metrics.CALIBRATION)},
    asks_for="searched",
    truth=True,
    parts=(
        Part(
            _MARKED,
            (TRACE_FILE, RESPONSES_FILE, SUBSET_FILE),
            "closerlook.report.tables.scoreboard:of_sources",
            tuple(metrics.SOURCES),
            keys={"part": ("sources",)},
            over=traced,
        ),
        Part(
            IDENTITY,
            (BORROWING_FILE,),
            "closerlook.report.tables.scoreboard:of_calibration",
            tuple(metrics.CALIBRATION),
            keys={"part": ("calibration",)},
            over=calibrated,
            together=IDENTITY,
        ),
    ),
)

TRACING: dict[str, Table] = {
    "borrowing": BORROWING,
    "origin": ORIGIN,
    "similarity": SIMILARITY,
    "tracing_scoreboard": SCOREBOARD,
}
