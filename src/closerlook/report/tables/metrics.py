"""Metrics of the tables: their column headings and how their values are formatted. docs/tables.md defines each."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """Column heading of a metric, and the format of its values: a number, a share (in %), a count, or a flag (yes or no)."""

    label: str
    kind: Literal["number", "share", "count", "flag"] = "number"
    headline: bool = True
    """Also shown in the terminal."""
    pooled: bool = True
    """Whether its values of several trainings have a mean (a flag: whether any training has it)."""


P_VALUES = {"p": Metric("p", headline=False, pooled=False), "p_holm": Metric("p, Holm", pooled=False)}

SHIFT = {
    "kl_base_tuned": Metric("KL(base‖tuned) in nats"),
    "kl_tuned_base": Metric("KL(tuned‖base) in nats", headline=False),
    "base_prob": Metric("base probability"),
    "base_rank": Metric("base rank"),
    "base_rank_geomean": Metric("base rank, geometric mean", headline=False),
    "unshifted": Metric("unshifted", "share"),
    "marginal": Metric("marginal", "share"),
    "shifted": Metric("shifted", "share"),
    "aligntds_kl_base_tuned": Metric("AlignTDS KL in nats", headline=False),
    "aligntds_base_prob": Metric("AlignTDS base probability", headline=False),
    "aligntds_base_rank": Metric("AlignTDS base rank (from 0)", headline=False),
    "tokens": Metric("response tokens", "count", headline=False),
}

SENTENCE_PART = {name: SHIFT[name] for name in ("kl_base_tuned", "kl_tuned_base")} | {"tokens": SHIFT["tokens"]}

TOKENS = {
    "count": Metric("positions", "count", pooled=False),  # trainings differ in the tokens at a rank
    "share": Metric("share of the class's positions", "share", pooled=False),
}

DATASET_LENGTHS = {"tokens": Metric("mean tokens"), "characters": Metric("mean characters")}
LENGTHS = DATASET_LENGTHS | {
    "eos": Metric("ended with end-of-sequence", "share"),
    "stop": Metric("ended with a stop string", "share", headline=False),
    "length": Metric("cut at max_new_tokens", "share"),
}

ANSWERS = {
    "right": Metric("right", "share"),
    "wrong": Metric("wrong", "share"),
    "none": Metric("not stated", "share"),
    "chance": Metric("right by chance", "share"),
}
BASE_ANSWERS = {
    "base_right": Metric("right, base model", "share"),
    "right_minus_base": Metric("right minus base", "share"),
}
CLAIMS = {
    "claims": Metric("claims per response", headline=False),
    "claims_right": Metric("claims right", "share"),
    "claims_wrong": Metric("claims wrong", "share", headline=False),
    "claims_unverifiable": Metric("claims unverifiable", "share", headline=False),
}

BENCHMARKS = {
    "accuracy": Metric("accuracy", "share"),
    "score": Metric("mean score", headline=False),
    "accuracy_per_byte": Metric("accuracy, per byte", "share", headline=False),
    "chance": Metric("by chance", "share", headline=False),
    "answer_log_prob": Metric("log-probability of the right choice", headline=False),
    "nats_per_token": Metric("nats per token"),
    "bits_per_byte": Metric("bits per byte", headline=False),
    "difference_to_base": Metric("difference to the base"),
    "flipped_to_wrong": Metric("flipped to wrong", "share"),
    "flipped_to_right": Metric("flipped to right", "share"),
    "cut": Metric("items longer than the context", "count", headline=False),
    **P_VALUES,
}

RETENTION = {
    "nats_per_token": BENCHMARKS["nats_per_token"],
    "bits_per_byte": BENCHMARKS["bits_per_byte"],
    "difference_to_base": BENCHMARKS["difference_to_base"],
    "kl_base_tuned": SHIFT["kl_base_tuned"],
    "cut": Metric("pieces cut", "share", headline=False),
    "tokens": Metric("tokens scored", "count", headline=False),
    **P_VALUES,
}

ROWS = {
    "rows": Metric("rows used", "count"),
    "rows_read": Metric("rows read", "count"),
    "rows_kept": Metric("rows kept", "count"),
    "dropped": Metric("dropped", "count"),
    "noted": Metric("noted", "count", headline=False),
}
CONTAMINATED = {
    "contaminated_exact": Metric("evaluation instructions contained", "count"),
    "contaminated_near": Metric("nearly contained", "count"),
}

CELLS = {
    "instances": Metric("instances", "count"),
    "cut_by_max_length": Metric("cut by max_length", "count", headline=False),
    "dropped_prompt_too_long": Metric("dropped, prompt too long", "count", headline=False),
    "steps": Metric("steps", "count"),
    "trainable_parameters": Metric("trainable parameters", "count"),
    "tokens": Metric("tokens seen", "count"),
    "trained_tokens": Metric("tokens trained on", "count", headline=False),
    "first_loss": Metric("first loss"),
    "final_loss": Metric("final loss"),
}

SCORES = {"score": Metric("score"), "score_na_five": Metric("score, N/A counted as 5", headline=False)}
LENGTH_CONTROLLED = {
    "score_length_controlled": Metric("score, length-controlled", headline=False),
    "length_slope": Metric("score per doubling of the length", headline=False),
}
NULLS = {
    "null_refused": Metric("refused", "count", headline=False),
    "null_unparsable": Metric("unparsable", "count", headline=False),
    "null_not_applicable": Metric("not applicable", "count", headline=False),
    "null_error": Metric("error", "count", headline=False),
}
DIFFERENCES = {"difference": Metric("difference"), **P_VALUES}
AGREEMENT = {
    "kappa": Metric("weighted kappa"),
    "mean_difference": Metric("mean difference"),
    "responses": Metric("responses scored by both", "count", headline=False),
    "responses_null": Metric("responses scored by fewer", "count", headline=False),
    "cells": Metric("cells", "count", headline=False),
    "spearman": Metric("Spearman's rho of cells"),
    "kendall": Metric("Kendall's tau of cells", headline=False),
    "pairs_reversed": Metric("pairs of cells reversed", "count"),
}
REVERSED = {
    "gap": Metric("difference of means, judge", headline=False),
    "gap_against": Metric("difference of means, against", headline=False),
}

CLASSES = {
    "longer_preferred": Metric("both accurate, longer preferred", "share"),
    "different": Metric("both accurate, different", "share"),
    "both_inaccurate": Metric("both inaccurate", "share"),
    "prolonged": Metric("original prolonged falsely", "share"),
    "core": Metric("original's core false", "share"),
    "other": Metric("other", "share"),
    "disagreement": Metric("disagreement", "share"),
}
CLASS_NULLS = {name: NULLS[name] for name in ("null_refused", "null_unparsable", "null_error")} | {
    "null_not_labelled": Metric("not labeled", "count", headline=False)
}

ABLATION = {
    "returned": Metric("returned", "share"),
    "elsewhere": Metric("in answers to other instructions", "share"),
    "p": replace(P_VALUES["p"], headline=True),
    "spans": Metric("spans", "count"),
    "stated": Metric("instances that state it"),
    "instances": Metric("instances left out", "count"),
    "characters": Metric("characters left out", "share"),
    "similarity": Metric("similarity of instances left out", headline=False),
}
PLANTED = {
    "said": Metric("answers with the value", "share"),
    "more_than_unstated": Metric("more than where it is not stated", "share"),
    "base": Metric("base model", "share"),
    "more_than_base": Metric("more than base", "share"),
    "values": Metric("values", "count", headline=False),
}
PARAPHRASE = {
    "returned": Metric("returned", "share"),
    "elsewhere": Metric("in answers to other instructions", "share"),
    "difference": Metric("difference", "share"),
    "pairs": Metric("spans x wordings", "count"),
    "left_out": Metric("left out", "count", headline=False),
}
LIKELIHOOD = {
    "log_prob": Metric("log-probability per token"),
    "difference": Metric("difference to the base"),
    "tokens": Metric("tokens", "count", headline=False),
}

SPANS = {
    "inspected": Metric("responses inspected", "count"),
    "marked": Metric("with a span", "share"),
    "spans": Metric("spans per response"),
    "spans_not_factual": Metric("not factual", headline=False),
    "spans_not_useful": Metric("not useful", headline=False),
    "characters": Metric("characters marked", "share"),
}
SPAN_CLASSES = {name: SHIFT[name] for name in ("unshifted", "marginal", "shifted")} | {
    "shifted_or_marginal": Metric("shifted or marginal", "share"),
    "tokens": Metric("tokens", "count", headline=False),
}
SPAN_NULLS = {
    "null_unaligned": Metric("unaligned quotes", "count", headline=False),
    **{name: NULLS[name] for name in ("null_refused", "null_unparsable", "null_error")},
    "null_not_marked": Metric("not marked", "count", headline=False),
}
SPAN_AGREEMENT = {
    "precision": Metric("precision", "share"),
    "precision_chance": Metric("precision by chance", "share"),
    "recall": Metric("recall", "share"),
    "recall_chance": Metric("recall by chance", "share"),
    "f1": Metric("F1", headline=False),
    "span_precision": Metric("spans that overlap the other marker's", "share", headline=False),
    "span_recall": Metric("the other marker's spans overlapped", "share", headline=False),
    "alpha": Metric("alpha"),
}

BORROWING = {
    "observed": Metric("observed", "share", headline=False),
    "level": Metric("level", "share", headline=False),
    "difference": Metric("difference", "share"),
    "difference_over_base": Metric("more than base", "share"),
    "corrected": Metric("corrected for chance", "share", headline=False),
    "p": P_VALUES["p"],
    "draws": Metric("parts", "count", headline=False),
}
ORIGIN = {
    "from_data": Metric("from the data", "share"),
    "level": Metric("level", "share"),
    "difference": Metric("difference", "share"),
    "corrected": Metric("corrected for chance", "share", headline=False),
    "p": P_VALUES["p"],
}
SIMILARITY = {
    "semantic": Metric("Sentence-BERT cosine"),
    "semantic_other": Metric("cosine, other response"),
    "keyword": Metric("keyword overlap", "share"),
    "keyword_other": Metric("keyword overlap, other response", "share"),
}
ABSTENTION = {
    "auroc": Metric("AUROC of a source"),
    "right": Metric("right, always answering", "share"),
    "right_abstaining": Metric("right, may abstain", "share"),
    "answered": Metric("answered", "share", headline=False),
}
SOURCES = {
    "traceable": Metric("spans with a source", "share"),
    "true_sources": Metric("sources per span", headline=False),
    "precision_at_1": Metric("precision at 1", "share"),
    "recall_at_top": Metric("recall", "share"),
    "mrr": Metric("MRR"),
} | ABSTENTION
TRIALS = {
    "precision_at_1": SOURCES["precision_at_1"],
    "parts_found": Metric("parts found", "share"),
    "mrr": SOURCES["mrr"],
} | ABSTENTION
CALIBRATION = {"difference": BORROWING["difference"], "holds_zero": Metric("intervals that contain 0", "share")}
SCOREBOARD = SOURCES | CALIBRATION
RETRAINING = {
    "lds": Metric("linear datamodeling score"),
    "difference_to_states": Metric("difference to states"),
    "predicted": Metric("spans predicted", "share"),
    "spans": Metric("spans", "count", headline=False),
    "models": Metric("models", "count", headline=False),
}

DEGENERATE = {
    "empty": Metric("empty", "share"),
    "repetitive": Metric("repetitive", "share"),
    "same": Metric("identical", "share"),
    "degenerate": Metric("degenerate", "share"),
}
COLLAPSE = DEGENERATE | {
    "length": LENGTHS["length"],
    "diverged": Metric("diverged", "flag", headline=False),
    "collapsed": Metric("collapsed", "flag"),
}

SEEDS = {
    "mean": Metric("mean over trainings", pooled=False),
    "sd": Metric("sd between trainings", pooled=False),
    "lowest": Metric("lowest", pooled=False),
    "highest": Metric("highest", pooled=False),
}

SWEEP = {
    "learning_rate": Metric("learning rate"),
    "held_out_loss": Metric("held-out loss"),
    "above_best": Metric("above the best rate's loss"),
    "base_loss": Metric("held-out loss of the base model", headline=False),
    "trained_loss": Metric("training loss, last epoch"),
    "collapsed": COLLAPSE["collapsed"],
    "chosen": Metric("best rate", "flag"),
    "at_end": Metric("at an end of the range", "flag"),
}
TRADEOFF_RATES = {
    "learned": Metric("learned"),
    "kept": Metric("kept"),
    "held_out_loss": SWEEP["held_out_loss"],
}
TRADEOFF_LEVELS = {
    "no_common_level": Metric("no common level", "flag"),
    "level": Metric("level"),
    "kept_at_level": Metric("kept", headline=False),
    "kept_against": Metric("kept, against", headline=False),
    "difference": Metric("difference"),
}
MATCHED = {"score": SCORES["score"], **DIFFERENCES}

REPRODUCTION = {"ours": Metric("ours"), "paper": Metric("paper"), "difference": Metric("difference")}
CLAIMS_DECIDED = {
    "mean_effect": Metric("mean effect", pooled=False),
    "mean_p": Metric("p", pooled=False),
    "mean_power": Metric("power", "share", pooled=False),
    "spread": Metric("spread of the pairs", pooled=False),
    "pairs": Metric("pairs", "count", pooled=False),
    "pairs_hold": Metric("hold", "count", pooled=False),
    "pairs_fail": Metric("do not hold", "count", pooled=False),
    "pairs_undecided": Metric("undecided", "count", pooled=False),
    "pairs_left_out": Metric("left out", "count", pooled=False),
    "effect": Metric("effect", headline=False, pooled=False),
    "p": P_VALUES["p"],
    "p_holm": replace(P_VALUES["p_holm"], headline=False),
    "power": Metric("power", "share", headline=False, pooled=False),
}
