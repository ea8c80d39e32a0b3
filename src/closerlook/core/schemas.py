"""The schema of every parquet file that one stage writes and another reads, with a description of each column."""

import pyarrow as pa

Column = tuple[str, pa.DataType, str]

_string, _bool, _int, _float = pa.string(), pa.bool_(), pa.int32(), pa.float32()
_strings, _ints, _floats = pa.list_(_string), pa.list_(_int), pa.list_(_float)


def _schema(*columns: Column) -> pa.Schema:
    return pa.schema([pa.field(name, type_, metadata={"doc": description}) for name, type_, description in columns])


INSTANCES = _schema(
    ("id", _string, "16 hex digits, from instruction and response; a simplified instance keeps its original's"),
    ("instruction", _string, "the user's request, with an Alpaca-style `input` after a blank line; never empty"),
    ("response", _string, "the response to learn; never empty"),
    ("source", _string, "name of the dataset in the catalog"),
    ("row", pa.int64(), "0-based row in the source file or hub split; derived datasets keep it"),
)
"""`data/<dataset@size>.parquet`: one row per instruction-tuning instance, in an order in which smaller subsets come first."""

EVALSET = _schema(
    ("id", _string, "the source's own id, or the row number if it has none"),
    ("instruction", _string, "the request to answer; never empty"),
    ("task_types", _strings, "e.g. info-seek, math; empty if the source names none"),
    ("topics", _strings, "e.g. humanities; empty if the source names none"),
    ("reference", _string, "a reference answer; null if there is none"),
    ("source", _string, "name of the evalset in the catalog"),
)
"""`evalsets/<evalset>.parquet`: one row per evaluation instruction, in the source's order."""

TEXT = _schema(
    ("id", _string, "0-based row in the source file or hub split; in a .txt, number of the piece"),
    ("text", _string, "the piece, without surrounding whitespace; never empty"),
)
"""`texts/<text>.parquet`: one row per piece of a general text, in the source's order."""

CONTAMINATION = _schema(
    ("evalset_id", _string, "id of the evaluation instruction"),
    ("instance_id", _string, "id of the instruction-tuning instance"),
    ("match", _string, "exact (the same words in the same order) or near"),
    ("similarity", _float, "Dice coefficient of the words, 0 to 1 (closerlook.data.contamination); 1 for exact"),
)
"""`data/contamination/<dataset>/<evalset>.parquet`: one row per evaluation instruction and instance with the same request."""

_ID: Column = ("id", _string, "id of the evaluation instruction")

RESPONSES = _schema(
    _ID,
    ("prompt", _string, "the complete prompt: the template with the instruction"),
    ("prompt_token_ids", _ints, "token ids of the prompt, special tokens included; null for an API model"),
    ("token_ids", _ints, "generated token ids, without end-of-sequence token and stop string; null for an API model"),
    ("text", _string, "token_ids decoded without special tokens"),
    ("finish_reason", _string, "eos, stop (a stop string was generated) or length (max_new_tokens reached)"),
)
"""`cells/<cell>/<evalset>/responses.parquet`: one row per response, in the evalset's order."""

CLASSES = ("unshifted", "marginal", "shifted")
"""Classes of tokens by base_rank: 1; 2 or 3; above 3. From the least shift to the most."""
MARGINAL_RANK = 3
"""The highest base rank of a marginal token."""
CLASS_RANKS = dict(zip(CLASSES, ("1", f"2 or {MARGINAL_RANK}", f"above {MARGINAL_RANK}"), strict=True))
"""The base ranks of each class, in words."""

SHIFT = _schema(
    _ID,
    ("token_ids", _ints, "token ids of the response, as in responses.parquet; all lists have this length"),
    ("kl_base_tuned", _floats, "KL(P_base || P_tuned) over the full vocabulary, in nats, at least 0"),
    ("kl_tuned_base", _floats, "KL(P_tuned || P_base) over the full vocabulary, in nats, at least 0"),
    ("base_prob", _floats, "P_base of the tuned model's most likely token, 0 to 1 (section 3, definition 2)"),
    ("tuned_prob", _floats, "P_tuned of the same token, 0 to 1"),
    ("base_rank", _ints, "rank of the same token: 1 + number of tokens with a higher P_base (definition 3)"),
    ("tuned_token", _ints, "id of the same token; not that of the response where it was sampled, or rounded otherwise"),
    ("class", _strings, "unshifted (base_rank 1), marginal (2 or 3) or shifted (above 3)"),
    ("base_top5_ids", pa.list_(_ints), "ids of the base model's five most likely tokens, most likely first"),
    ("base_top5_probs", pa.list_(_floats), "P_base of these tokens, 0 to 1"),
    ("token_start", _ints, "offset of the token's first character in the response's `text`"),
    ("sentence", _ints, "0-based index of the token's sentence"),
    ("sentence_token", _ints, "0-based index of the token in its sentence"),
    ("sentence_length", _ints, "number of tokens in the token's sentence"),
    ("aligntds_kl_base_tuned", _floats, "AlignTDS variant: each model's top 30, renormalized, over the tokens in both"),
    ("aligntds_base_prob", _floats, "AlignTDS variant: renormalized P_base of the token, 0 outside of the top 30"),
    ("aligntds_base_rank", _ints, "AlignTDS variant: 0-based rank of the token, 30 outside of the top 30"),
)
"""`cells/<cell>/<evalset>/shift.parquet`: one row per response; each list has an entry per response token."""

BENCHMARK = _schema(
    ("id", _string, "id of the item"),
    ("subject", _string, "what the item is about: items about one subject are not independent; or null"),
    ("log_probs", _floats, "log-probability in nats of each text that is scored; empty for a response"),
    ("tokens", _ints, "tokens of each of these texts, or of the response"),
    ("bytes", _ints, "UTF-8 bytes of each of these texts; empty for a response"),
    ("cut", _bool, "whether the model could not read the beginning of the item, which is longer than its context"),
    ("answer", _int, "0-based index of the right choice; null for other kinds"),
    ("prediction", _string, "the choice of the largest log-probability, or the response; null for a text"),
    ("score", _float, "what the answer is worth, more is better: 0 or 1, or a number such as F1; null for a text"),
    ("correct", _bool, "whether the score is 1, if it is 0 or 1; else null"),
    ("correct_per_byte", _bool, "whether the right choice has the largest log-probability per byte; null otherwise"),
)
"""`cells/<cell>/benchmarks/<task>.parquet`: one row per item, in the order of the task."""

_double = pa.float64()
RETENTION = _schema(
    ("id", _string, "id of the piece"),
    (
        "tokens",
        _int,
        "tokens that are scored: all that are read but the first, which may be the beginning-of-sequence token",
    ),
    ("bytes", _int, "UTF-8 bytes of the scored text"),
    ("cut", _bool, "whether the piece had more tokens than are read"),
    ("base_nats", _double, "sum over scored tokens of -log P_base, in nats, given all tokens before"),
    ("nats", _double, "the same under the cell's model"),
    (
        "kl_base_tuned",
        _double,
        "sum over the same positions of KL(P_base || P_tuned), full vocabulary, in nats, at least 0",
    ),
)
"""`cells/<cell>/retention/<text>.parquet`: one row per piece of a general text, in its order."""

PAIRWISE = _schema(
    _ID,
    ("class", _string, "one of closerlook.judge.pairwise.CLASSES, or disagreement (of orders, or of people); or null"),
    ("null_cause", _string, "reason for a null class: refused, unparsable, error or not labelled; otherwise null"),
    ("original_first", _string, "class if the original is shown first; null for people, or if none was given"),
    ("simplified_first", _string, "class if the simplified one is shown first; null as for original_first"),
    ("reason", _string, "explanation given for the class, or null"),
    ("judge", _string, "name and version of the judge"),
)
"""`cells/<cell>/<evalset>/pairwise/<judge>.parquet`: responses of a cell tuned on a simplified dataset, compared with
those of the cell tuned on the original (section 4, Figure 6); one row per instruction, in the evalset's order."""

VERDICTS = _schema(
    _ID,
    ("aspect", _string, "helpfulness, clarity, factuality, depth or engagement; safety has its own prompt"),
    ("score", pa.int8(), "1 to 5; null if there is none"),
    ("null_cause", _string, "reason for a null score: refused, unparsable, not applicable or error; otherwise null"),
    ("reason", _string, "the judge's explanation, or the error message; null if there is none"),
    (
        "judge",
        _string,
        "name and version: requested model@answering model/prompt and first 8 hex digits of the prompt file's SHA-256",
    ),
)
"""`cells/<cell>/<evalset>/verdicts/<judge>.parquet`: one row per response and aspect, in the evalset's order."""

SPANS = _schema(
    _ID,
    ("start", _int, "offset of the span's first character in the response's `text`; null if the row has no span"),
    ("end", _int, "offset after the span's last character; null if the row has no span"),
    ("quote", _string, "text[start:end]; for an unaligned quote, the quote as given; otherwise null"),
    ("kind", _string, "not factual or not useful; null if the row has no span"),
    (
        "null_cause",
        _string,
        "reason for a row without a span: unaligned (the quote is not in the response), or, for the whole response, refused, "
        "unparsable, error or not marked; otherwise null",
    ),
    ("note", _string, "the marker's reason, the true value, or the contradicting samples; or null"),
    ("origin", _string, "id of the instance that a person named as the source, or `none`; null if not asked"),
    ("marker", _string, "name and version of the marker"),
)
"""`cells/<cell>/<evalset>/spans/<marker>.parquet`: one row per marked span, and per quote or response without one.
A response that was inspected and has no span has no row. In the evalset's order, then by start."""

_START: Column = ("start", _int, "start of the span, as in spans")
_END: Column = ("end", _int, "end of the span, as in spans")

TRACE = _schema(
    _ID,
    _START,
    _END,
    ("searched", _string, "dataset@size that the span was traced in; all later columns are about its instances"),
    ("instances", _int, "number of instances that contain the span verbatim, case-sensitive"),
    ("instances_words", _int, "number of instances that contain the span as whole words, ignoring case"),
    ("longest", _int, "length in words of the span's longest run of words that occurs in an instance"),
    ("matched", _float, "share of matched phrases (of equal length and frequency) that occur in the dataset, 0 to 1"),
    ("instance", _string, "id of the candidate; null, as all later columns, if no ranker returned a candidate"),
    ("verbatim", _bool, "whether the candidate contains the span as whole words, ignoring case"),
    ("shared", _int, "length in words of the longest run of the span's sentence that occurs in the candidate"),
    ("keyword", _float, "1- to 3-gram overlap of the two pairs of instruction and response, 0 to 1"),
    ("semantic", _float, "Sentence-BERT cosine of the two pairs, -1 to 1 (section 5)"),
    ("keyword_other", _float, "keyword with another response's pair; null unless a ranker has the candidate first"),
    ("semantic_other", _float, "semantic with another response's pair; null as for keyword_other"),
    ("bm25", _float, "BM25 score for the instruction and the span in its sentence; null if not scored"),
    ("influence", _float, "influence by gradients; null where none was computed"),
    ("fused", _float, "reciprocal rank fusion: sum over the rankers of 1 / (60 + rank)"),
    ("rank_lexical", _int, "1-based rank by shared words; null outside of this ranker's first candidates"),
    ("rank_bm25", _int, "1-based rank by BM25; null as for rank_lexical"),
    ("rank_semantic", _int, "1-based rank by Sentence-BERT; null as for rank_lexical"),
    ("rank_gradient", _int, "1-based rank by influence; null as for rank_lexical, or without attribution"),
    ("rank_fused", _int, "1-based rank by reciprocal rank fusion of the other rankers"),
)
"""`cells/<cell>/<evalset>/trace/<marker>.parquet`: one row per dataset, span and candidate instance, by rank_fused."""

RANKERS = tuple(name.removeprefix("rank_") for name in TRACE.names if name.startswith("rank_"))
"""Rankers of candidates: one rank column of TRACE each."""

TRIALS = _schema(
    _ID,
    ("instruction", _string, "the question that is answered"),
    ("text", _string, "the answer"),
    _START,
    _END,
    (
        "sources",
        pa.list_(_strings),
        "for each part of the span, ids of the instances that it can come from; empty: none",
    ),
)
"""`trials/<world>/answers.parquet`: made-up answers, each with one span, whose sources are known."""

WORDS = _schema(
    _ID,
    ("start", _int, "offset of the word's first character in the response's `text`"),
    ("end", _int, "offset after the word's last character"),
    ("class", _string, "class of the word's first token: shifted or marginal"),
    ("instances", _int, "number of instances that contain the word as a whole, ignoring case"),
    ("longest", _int, "length in words of the longest run of the response around the word that occurs in an instance"),
    ("longest_start", _int, "offset of that run's first character in `text`; null if there is none"),
    ("longest_end", _int, "offset after that run's last character; null if there is none"),
    ("lexical", _strings, "ids of at most 3 instances that contain that run, most similar to the instruction first"),
    ("bm25", _strings, "ids of the first 3 instances for the instruction by BM25, among those that contain the word"),
    ("semantic", _strings, "the same by Sentence-BERT; null if there are no embeddings"),
    ("candidates", _strings, "the first 3 by reciprocal rank fusion of the rankers"),
)
"""`cells/<cell>/<evalset>/words.parquet`: one row per shifted or marginal word, in the evalset's order, then by start."""

BORROWING = _schema(
    _ID,
    ("searched", _string, "dataset@size that was searched"),
    ("unit", _string, "phrases searched: beginning with a shifted, marginal or unshifted token; or span:<marker>"),
    ("ngram", _int, "words per phrase, 1 to 8; 0 for whole spans"),
    ("where", _string, "all: anywhere in the dataset; similar: in the instances most similar to the instruction"),
    (
        "null",
        _string,
        "observed: in the dataset searched; tuned_on: in a part of its instances tuned on; held_out: in a part of those "
        "of the whole dataset that were not, the chance level; tuned_on_small, held_out_small: in smaller parts, for the test; "
        "or a comparison: unrelated, permuted, matched, base_answer",
    ),
    ("draw", _int, "number of the part, from 0; 0 where there is one"),
    ("found", _int, "number of phrases found"),
    ("phrases", _int, "number of phrases searched"),
)
"""`cells/<cell>/<evalset>/borrowing.parquet`: counts per response, for intervals over responses."""

BASE = "base"
"""LIKELIHOOD's name for the untuned base model."""
LIKELIHOOD = _schema(
    _ID,
    ("start", _int, "start of the span, as in spans; null for the response's tokens outside of all its spans"),
    ("end", _int, "end of the span, as in spans; null for the response's tokens outside of all its spans"),
    (
        "model",
        _string,
        "base; the run of a cell tuned on the same data (lft, sft, ...); or a cell tuned on a part of them",
    ),
    ("tokens", _int, "number of tokens that contain a character of the span"),
    ("log_prob", _float, "sum of their log-probabilities in nats, given the prompt and the preceding response"),
)
"""`cells/<cell>/<evalset>/likelihood/<marker>.parquet` and `.../retrained/<marker>.parquet`: one row per span and model."""

ATTRIBUTION = _schema(
    _ID,
    _START,
    _END,
    ("instance", _string, "id of the instance"),
    ("score", _float, "influence on the span's log-probability; higher values support the span more"),
    ("rank", _int, "1-based rank by score"),
)
"""`cells/<cell>/<evalset>/attribution/<marker>.parquet`: the instances with the largest influence on each span."""

INSTANCE_SCORES = _schema(
    _ID,
    _START,
    _END,
    ("lexical", _floats, "1 for an instance that contains the span as whole words, ignoring case; otherwise 0"),
    ("bm25", _floats, "BM25 score for the instruction and the span in its sentence"),
    ("semantic", _floats, "Sentence-BERT cosine of the two pairs, -1 to 1; null without embeddings"),
    ("gradient", _floats, "influence on the span's log-probability; null if it was not computed"),
    ("fused", _floats, "sum of 1 / (60 + rank) over the other rankers that score the span"),
)
"""`cells/<cell>/<evalset>/instance_scores/<marker>.parquet`: one row per span; each list has an entry per instance of the cell's
dataset, in its order. Names of the lists are RANKERS."""
