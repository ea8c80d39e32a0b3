"""Every parquet file that one stage hands to the next, declared once. Each column says its unit, range and source."""

import pyarrow as pa


def _schema(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    return pa.schema([pa.field(name, type_, metadata={"doc": doc}) for name, type_, doc in columns])


_strings = pa.list_(pa.string())
_ints = pa.list_(pa.int32())
_floats = pa.list_(pa.float32())

INSTANCES = _schema(
    (
        "id",
        pa.string(),
        "16 hex digits of the SHA-256 of instruction and response: the same text has the same id everywhere; a simplified "
        "instance keeps the id of the one that it was made from",
    ),
    (
        "instruction",
        pa.string(),
        "what the user asks; an Alpaca-style `input` is appended after a blank line; never empty",
    ),
    ("response", pa.string(), "what the model is taught to answer; never empty"),
    ("source", pa.string(), "name of the dataset in the catalog"),
    ("row", pa.int64(), "0-based row of the source file or hub split, also through datasets made from datasets"),
)
"""`data/<dataset@size>.parquet`: one row per instruction-tuning instance, in the order that makes subsets nested."""

EVALSET = _schema(
    ("id", pa.string(), "the source's own id where it has one, else its row number"),
    ("instruction", pa.string(), "what the cells answer; never empty"),
    ("task_types", _strings, "e.g. info-seek, math; empty where the source names none"),
    ("topics", _strings, "e.g. humanities; empty where the source names none"),
    ("reference", pa.string(), "a reference answer or null"),
    ("source", pa.string(), "name of the evalset in the catalog"),
)
"""`evalsets/<evalset>.parquet`: one row per evaluation instruction, in the source's order."""

CONTAMINATION = _schema(
    ("evalset_id", pa.string(), "id of the evaluation instruction"),
    ("instance_id", pa.string(), "id of the instruction-tuning instance"),
    ("match", pa.string(), "exact (the same words in the same order) or near"),
    ("similarity", pa.float32(), "0 to 1; 1 for exact; the measure is named in closerlook.data.contamination"),
)
"""`data/contamination/<dataset>/<evalset>.parquet`: pairs of an evaluation instruction and an instance that asks the same."""

RESPONSES = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    ("prompt", pa.string(), "the whole text the model saw"),
    (
        "prompt_token_ids",
        _ints,
        "its tokens, special ones included, as fed to the model; null where an endpoint answered",
    ),
    (
        "token_ids",
        _ints,
        "the generated tokens without the end-of-sequence token; cut where a stop string begins; null where an endpoint answered",
    ),
    ("text", pa.string(), "token_ids decoded without special tokens"),
    ("finish_reason", pa.string(), "eos, stop (a stop string came) or length (max_new_tokens reached)"),
)
"""`cells/<cell>/<evalset>/responses.parquet`: one row per response, in the evalset's order."""

CLASSES = ("unshifted", "marginal", "shifted")
"""Of tokens by the base rank of the tuned model's first choice: 1; 2 or 3; above 3. From the least shift to the most."""

SHIFT = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    ("token_ids", _ints, "the response's tokens, as in responses.parquet; every list below has this length"),
    ("kl_base_tuned", _floats, "KL(P_base || P_tuned) in nats over the full vocabulary, at least 0"),
    ("kl_tuned_base", _floats, "KL(P_tuned || P_base) in nats over the full vocabulary, at least 0"),
    ("base_prob", _floats, "P_base of the tuned model's most likely token, 0 to 1 (section 3, definition 2)"),
    ("tuned_prob", _floats, "P_tuned of that same token"),
    (
        "base_rank",
        _ints,
        "1-based rank of that token in P_base: 1 + number of tokens that P_base prefers (definition 3)",
    ),
    ("class", _strings, "unshifted (rank 1), marginal (2 or 3) or shifted (above 3)"),
    ("base_top5_ids", pa.list_(_ints), "the base model's five most likely tokens, most likely first"),
    ("base_top5_probs", pa.list_(_floats), "their probabilities under P_base"),
    ("token_start", _ints, "character offset in `text` where the token begins"),
    ("sentence", _ints, "0-based index of the sentence that the token stands in"),
    ("sentence_token", _ints, "0-based place of the token in its sentence"),
    ("sentence_length", _ints, "number of tokens of that sentence"),
    (
        "aligntds_kl_base_tuned",
        _floats,
        "AlignTDS variant: top-30 of both models, renormalised, over tokens in both lists",
    ),
    (
        "aligntds_base_prob",
        _floats,
        "AlignTDS variant: renormalised P_base of the token, 0 where it is not in the top 30",
    ),
    ("aligntds_base_rank", _ints, "AlignTDS variant: 0-based rank, 30 where the token is not in the top 30"),
)
"""`cells/<cell>/<evalset>/shift.parquet`: one row per response, a list entry per response token."""

PAIRWISE = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    (
        "class",
        pa.string(),
        "one of closerlook.judge.pairwise.CLASSES, or disagreement (of the two orders, or of people); null where there is none",
    ),
    ("null_cause", pa.string(), "refused, unparsable, error or not labelled; null where there is a class"),
    ("original_first", pa.string(), "class where the original's response was shown first; null for people, or if none"),
    ("simplified_first", pa.string(), "class where the simplified's response was shown first; null likewise"),
    ("reason", pa.string(), "what was said for it, or null"),
    ("judge", pa.string(), "name and version of who decided"),
)
"""`cells/<cell>/<evalset>/pairwise/<judge>.parquet`: how the responses of a cell tuned on a simplified dataset compare with those
of the cell tuned on the dataset itself (section 4, Figure 6); one row per instruction, in the evalset's order."""

VERDICTS = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    ("aspect", pa.string(), "helpfulness, clarity, factuality, depth, engagement; safety under its own prompt"),
    ("score", pa.int8(), "1 to 5; null where there is none"),
    (
        "null_cause",
        pa.string(),
        "why there is no score: refused, unparsable, not applicable or error; null where there is one",
    ),
    ("reason", pa.string(), "what the judge says to it, or what went wrong; null where nothing is said"),
    (
        "judge",
        pa.string(),
        "name and version: model asked@model that answered/prompt and 8 hex digits of the prompt file's SHA-256",
    ),
)
"""`cells/<cell>/<evalset>/verdicts/<judge>.parquet`: one row per response and aspect, in the evalset's order."""

SPANS = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    (
        "start",
        pa.int32(),
        "character offset in the response's `text` where the span begins; null where there is no span",
    ),
    ("end", pa.int32(), "character offset behind its last character; null likewise"),
    (
        "quote",
        pa.string(),
        "text[start:end]; of a quote that was not found in the response, what was quoted; else null",
    ),
    ("kind", pa.string(), "not factual or not useful; null where there is no span"),
    (
        "null_cause",
        pa.string(),
        "of a row without a span: unaligned (a quote that is not in the response), or why the whole response could not be "
        "marked: refused, unparsable, error, not marked; null where there is a span",
    ),
    ("note", pa.string(), "what is said for it: a reason, the truth, what contradicts it; or null"),
    (
        "origin",
        pa.string(),
        "id of the instance that a person named as the source, `none` for no instance; null: not asked",
    ),
    ("marker", pa.string(), "name and version of who marked"),
)
"""`cells/<cell>/<evalset>/spans/<marker>.parquet`: one row per marked span, and per response or quote that gave none. A response
that was looked at and has no span has no row. In the evalset's order, by start."""

TRACE = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    ("start", pa.int32(), "of the span, as in spans"),
    ("end", pa.int32(), "of the span, as in spans"),
    ("instances", pa.int32(), "of the span: how many instances hold it verbatim, case-sensitive"),
    ("instances_words", pa.int32(), "of the span: how many hold it as whole words, case ignored"),
    ("longest", pa.int32(), "of the span: words of the longest run of its words that some instance holds"),
    (
        "chance",
        pa.float32(),
        "of the span: share of matched phrases (as many words, as frequent) that the dataset holds",
    ),
    (
        "instance",
        pa.string(),
        "id of the candidate; null, and all that is of the candidate, where nothing speaks for any",
    ),
    ("verbatim", pa.bool_(), "the candidate holds the span as whole words, case ignored"),
    ("shared", pa.int32(), "words of the longest run of the span's sentence that the candidate holds"),
    (
        "keyword",
        pa.float32(),
        "0 to 1: keyword overlap of the two pairs of instruction and response, mean over 1- to 3-grams",
    ),
    (
        "semantic",
        pa.float32(),
        "-1 to 1: Sentence-BERT cosine of the two pairs of instruction and response (section 5)",
    ),
    (
        "keyword_chance",
        pa.float32(),
        "the same with another response's pair; null where no ranker places the candidate first",
    ),
    ("semantic_chance", pa.float32(), "likewise"),
    (
        "bm25",
        pa.float32(),
        "BM25 score of the candidate for the span in its sentence and the instruction; null: not scored",
    ),
    ("rank_lexical", pa.int32(), "1-based rank by each ranker; null where it is not among its first"),
    ("rank_bm25", pa.int32(), "likewise"),
    ("rank_semantic", pa.int32(), "likewise"),
    ("rank_gradient", pa.int32(), "likewise; null too where there is no attribution"),
    ("rank_fused", pa.int32(), "1-based rank by all of them together (reciprocal rank fusion)"),
)
"""`cells/<cell>/<evalset>/trace/<marker>.parquet`: one row per span and candidate instance, by rank_fused."""

RANKERS = tuple(name.removeprefix("rank_") for name in TRACE.names if name.startswith("rank_"))
"""Who ranks candidates: a column of TRACE each."""

WORDS = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    ("start", pa.int32(), "character offset in the response's `text` where the word begins"),
    ("end", pa.int32(), "behind its last character"),
    ("class", pa.string(), "of the word's first token: shifted or marginal"),
    ("instances", pa.int32(), "how many instances hold the word, whole, case ignored"),
    ("longest", pa.int32(), "words of the longest run of the response's words around it that some instance holds"),
    ("longest_start", pa.int32(), "where that run begins in `text`; null where there is none"),
    ("longest_end", pa.int32(), "behind its last character; null likewise"),
    ("lexical", _strings, "ids of instances that hold that run, most similar to the instruction first; at most 3"),
    ("bm25", _strings, "of those that hold the word, the first 3 for the instruction by BM25"),
    ("semantic", _strings, "likewise by Sentence-BERT; null where there are no embeddings"),
    ("candidates", _strings, "the first 3 by all rankers together (reciprocal rank fusion)"),
)
"""`cells/<cell>/<evalset>/words.parquet`: one row per shifted or marginal word, in the evalset's order, by start."""

BORROWING = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    ("searched", pa.string(), "dataset@size that was searched"),
    (
        "unit",
        pa.string(),
        "what was looked for: words that begin with a shifted, marginal or unshifted token; or span:<marker>",
    ),
    ("ngram", pa.int32(), "words per phrase: 1 to 8; for spans 0 too, the span whole"),
    ("where", pa.string(), "all: anywhere in the dataset; similar: in the instances most similar to the instruction"),
    ("null", pa.string(), "observed, or the chance level: unrelated, permuted, matched, base_answer"),
    ("found", pa.int32(), "phrases found"),
    ("phrases", pa.int32(), "phrases looked for"),
)
"""`cells/<cell>/<evalset>/borrowing.parquet`: counts per response, so that rates have intervals over responses."""

BASE = "base"
"""LIKELIHOOD's name for the untuned base model."""
LIKELIHOOD = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    ("start", pa.int32(), "of the span, as in spans; null: the tokens of the response outside of all its spans"),
    ("end", pa.int32(), "of the span, as in spans; null likewise"),
    ("model", pa.string(), "whose probability: base, or the run of a cell tuned on the same data (lft, sft, ...)"),
    ("tokens", pa.int32(), "how many tokens hold a character of it"),
    (
        "log_prob",
        pa.float32(),
        "sum of their log-probabilities in nats, each after the prompt and the response before it",
    ),
)
"""`cells/<cell>/<evalset>/likelihood/<marker>.parquet`: how likely each model finds each span."""

ATTRIBUTION = _schema(
    ("id", pa.string(), "id of the evaluation instruction"),
    ("start", pa.int32(), "of the span, as in spans"),
    ("end", pa.int32(), "of the span, as in spans"),
    ("instance", pa.string(), "id of the instance"),
    ("score", pa.float32(), "influence on the span's log-probability; larger is more for it"),
    ("rank", pa.int32(), "1-based"),
)
"""`cells/<cell>/<evalset>/attribution/<marker>.parquet`: the instances whose gradients speak most for each span."""
