"""`shift.parquet`: how far each response token's distribution moved from the base model's (section 3).

Each model reads the prompt and the tuned model's response once (teacher forcing): for both, the context of token t is the prompt
and the response before t. Rows are packed without padding, only response positions go through the LM head, and logits exist for
a bounded number of positions at a time: memory does not grow with responses x vocabulary.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, sha256
from closerlook.core.fingerprint import fingerprint
from closerlook.core.resumable import Progress, Row, Rows, compute_in_parts, split_by_length
from closerlook.core.schemas import MARGINAL_RANK, SHIFT
from closerlook.models.device import device, rounding_facts
from closerlook.models.packed import packed_batches
from closerlook.models.pass_limits import PassLimits, pass_limits
from closerlook.models.precision import exact_dtype
from closerlook.models.token_text import decode, token_starts
from closerlook.shift.divergence import compare_distributions
from closerlook.shift.pair import ModelPair, common_tokenizer
from closerlook.text.sentences import sentence_columns

logger = logging.getLogger(__name__)

PART = 64
"""Responses per part: the work that a kill can lose."""


def shift(
    base: Path,
    tuned: Path,
    responses: Path,
    out: Path,
    precision: str = "auto",
    gpus: int = 1,
    batch_tokens: int = BATCH_TOKENS,
) -> None:
    """Compare base and tuned model (full weights or an adapter) on every token of `responses`; write SHIFT, in their order.

    batch_tokens: most tokens of a pass (closerlook.models.pass_limits); with fewer, it needs less memory.
    Resumes where it stopped; shares the work if RANK and WORLD_SIZE are set. Raises CloserlookError for models with different
    vocabularies or tokenizers, responses that do not fit the models, and logits that are not finite (naming the response).
    """
    rows = read_parquet(responses, columns=["id", "prompt_token_ids", "token_ids", "text"]).to_pylist()
    target = device(gpus)
    dtype = exact_dtype(precision, target)
    tokenizer = common_tokenizer(base, tuned)
    pair = ModelPair(base, tuned, target, dtype, gpus)
    for row in rows:
        _expect_valid(row, pair, responses)
    analyzer = ShiftAnalyzer(pair, tokenizer, pass_limits(batch_tokens, target))

    def analyze(parts: list[list[int]], progress: Progress) -> Iterator[tuple[int, Row]]:
        for part in parts:
            yield from zip(part, analyzer.rows([rows[index] for index in part], progress), strict=True)

    inputs = {"base": sha256(base), "tuned": sha256(tuned), "responses": sha256(responses), "dtype": dtype}
    inputs |= {"columns": SHIFT.names, "part": PART} | rounding_facts(target)
    lengths = [len(row["prompt_token_ids"]) + len(row["token_ids"]) for row in rows]
    compute_in_parts(split_by_length(lengths, PART), analyze, SHIFT, out, fingerprint(**inputs))
    if analyzer.rewritten:
        logger.warning(
            "%d of %d responses have a text other than their decoded token_ids (%s ...); token_start refers to the decoded text",
            len(analyzer.rewritten), len(rows), analyzer.rewritten[0],
        )  # fmt: skip


def _expect_valid(row: dict[str, Any], pair: ModelPair, file: Path) -> None:
    prompt, response = row["prompt_token_ids"], row["token_ids"]
    if not prompt:
        raise CloserlookError(
            f"{file}: response {row['id']}: found a prompt without tokens, expected at least one, as context"
        )
    if (largest := max(*prompt, *response, 0)) >= pair.vocabulary:
        raise CloserlookError(
            f"{file}: response {row['id']}: found token {largest}, expected one of the models' vocabulary of {pair.vocabulary}"
        )
    if len(prompt) + len(response) > pair.context:
        raise CloserlookError(
            f"{file}: response {row['id']}: found {len(prompt)} + {len(response)} tokens, "
            f"expected at most the models' context of {pair.context}"
        )


class ShiftAnalyzer:
    """Turns responses into rows of SHIFT."""

    def __init__(self, pair: ModelPair, tokenizer: PreTrainedTokenizerBase | None, limits: PassLimits) -> None:
        self.pair, self.tokenizer, self._limits = pair, tokenizer, limits
        self.rewritten: list[str] = []
        """Ids of responses whose text is not their decoded tokens."""

    @torch.inference_mode()
    def rows(self, responses: Rows, progress: Progress) -> Rows:
        """One row of SHIFT per response."""
        rows: Rows = []
        for batch in packed_batches(responses, self._limits.tokens):
            for response, statistics in zip(batch, self._statistics(batch), strict=True):
                row = {"id": response["id"], "token_ids": response["token_ids"]}
                row |= statistics | self._token_positions(response)
                ranks = row["base_rank"]
                row["class"] = [
                    "unshifted" if r == 1 else "marginal" if r <= MARGINAL_RANK else "shifted" for r in ranks
                ]
                rows.append(row)
                progress.advance(len(response["token_ids"]))
        return rows

    def _statistics(self, batch: Rows) -> Iterator[dict[str, list]]:
        """The columns of SHIFT that compare the models, as one list per response."""
        columns = self.pair.compare(
            batch, self._limits.logits, lambda base, tuned, _: compare_distributions(base, tuned)
        )
        self._expect_finite(columns, batch)
        lengths = [len(row["token_ids"]) for row in batch]
        split = {name: values.split(lengths) for name, values in columns.items()}
        for index in range(len(batch)):
            yield {name: pieces[index].tolist() for name, pieces in split.items()}

    def _expect_finite(self, columns: dict[str, Tensor], batch: Rows) -> None:
        finite = torch.isfinite(columns["kl_base_tuned"] + columns["kl_tuned_base"])
        for row, piece in zip(batch, finite.split([len(row["token_ids"]) for row in batch]), strict=True):
            if not piece.all():
                raise CloserlookError(
                    f"response {row['id']}: the logits of the base or the tuned model are not finite; "
                    "the training has probably diverged (see the cell's train_log.jsonl)"
                )

    def _token_positions(self, response: dict[str, Any]) -> dict[str, list[int]]:
        """The first character of each token, and its position in its sentence."""
        ids = response["token_ids"]
        if self.tokenizer is None:
            n = len(ids)
            single_sentence = {"sentence": [0] * n, "sentence_token": list(range(n)), "sentence_length": [n] * n}
            return {"token_start": [-1] * n, **single_sentence}
        text, starts = decode(self.tokenizer, ids), token_starts(self.tokenizer, ids)
        if text != response["text"]:
            self.rewritten.append(response["id"])
        return {"token_start": starts, **sentence_columns(text, starts)}
