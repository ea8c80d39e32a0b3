"""`retention/<text>.parquet`: how likely a base and a tuned model find general text, and how far their predictions are apart.

Both models read the same tokens in one pass each (teacher forcing), without a prompt template: the logits at a token are compared
at the token after it. A base that is compared with itself goes the same way, so its zero is measured like any other number.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerBase

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.config.cell import PLACEHOLDER
from closerlook.config.texts import MAX_TOKENS
from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.core.fingerprint import fingerprint
from closerlook.core.resumable import Progress, Row, Rows, compute_in_parts, split_by_length
from closerlook.core.schemas import RETENTION
from closerlook.data.prompts import encode_prompts
from closerlook.data.texts import read_pieces
from closerlook.models.device import device, rounding_facts
from closerlook.models.load import load_tokenizer
from closerlook.models.packed import packed_batches
from closerlook.models.pass_limits import pass_limits
from closerlook.models.precision import exact_dtype
from closerlook.models.token_text import INCOMPLETE, decode
from closerlook.shift.divergence import compare_on_text
from closerlook.shift.pair import ModelPair, common_tokenizer

PART = 32
"""Pieces per part, the work that an interruption can lose."""


class Piece(NamedTuple):
    """A piece of text as the models read it. size: UTF-8 bytes of all tokens but the first, which is not scored."""

    id: str
    tokens: list[int]
    size: int
    cut: bool


class RetentionMeter:
    """Measures what `tuned` (full weights, an adapter on `base`, or `base` itself) kept of the model in `base`.

    Raises CloserlookError for models with different vocabularies or tokenizers, and for a base without a tokenizer.
    """

    def __init__(
        self, base: Path, tuned: Path, precision: str = "auto", gpus: int = 1, batch_tokens: int = BATCH_TOKENS
    ) -> None:
        self._target = device(gpus)
        dtype = exact_dtype(precision, self._target)
        self.tokenizer = load_tokenizer(base)
        common_tokenizer(base, tuned)  # refuses another one
        self.pair = ModelPair(base, tuned, self._target, dtype, gpus)
        self._limits = pass_limits(batch_tokens, self._target)
        self._facts = {"base": sha256(base), "tuned": sha256(tuned), "dtype": dtype, "columns": RETENTION.names}

    def measure(self, text: Path, out: Path, max_tokens: int = MAX_TOKENS) -> None:
        """Write RETENTION, a row per piece of `text`, in their order. Resumes where it stopped; ranks share the pieces.

        text: schema TEXT, or a file that `data.texts.prepare_text` reads. max_tokens: most tokens of a piece. Raises
        CloserlookError for a text that cannot be read or has tokens that the models lack, and logits that are not finite.
        """
        rows = read_pieces(text).to_pylist()
        ids, texts = [row["id"] for row in rows], [row["text"] for row in rows]
        pieces = cut_pieces(self.tokenizer, ids, texts, max_tokens, self.pair.context)
        for piece in pieces:
            if (largest := max(piece.tokens, default=0)) >= self.pair.vocabulary:
                raise CloserlookError(
                    f"{text}: piece {piece.id}: found token {largest} of the base's tokenizer, expected one of the models' "
                    f"vocabulary of {self.pair.vocabulary}"
                )

        def measure_parts(parts: list[list[int]], progress: Progress) -> Iterator[tuple[int, Row]]:
            for part in parts:
                yield from zip(part, self._rows([pieces[index] for index in part], progress), strict=True)

        facts = self._facts | {"text": sha256(text), "max_tokens": max_tokens, "part": PART}
        parts = split_by_length([len(piece.tokens) for piece in pieces], PART)
        identity = fingerprint(**facts, **rounding_facts(self._target))
        compute_in_parts(parts, measure_parts, RETENTION, out, identity, "pieces")

    @torch.inference_mode()
    def _rows(self, pieces: Sequence[Piece], progress: Progress) -> Rows:
        """A row of RETENTION per piece."""
        nothing = {"base_nats": 0.0, "nats": 0.0, "kl_base_tuned": 0.0}
        rows = [
            {"id": piece.id, "tokens": max(0, len(piece.tokens) - 1), "bytes": piece.size, "cut": piece.cut} | nothing
            for piece in pieces
        ]
        # The first token is what the others follow, as a prompt is; without any other, there is nothing to score.
        read = [
            {"row": row, "prompt_token_ids": piece.tokens[:1], "token_ids": piece.tokens[1:]}
            for row, piece in zip(rows, pieces, strict=True)
            if row["tokens"]
        ]
        for batch in packed_batches(read, self._limits.tokens):
            lengths = [len(each["token_ids"]) for each in batch]
            for name, values in self.pair.compare(batch, self._limits.logits, compare_on_text).items():
                for each, of_tokens in zip(batch, values.double().split(lengths), strict=True):
                    each["row"][name] = of_tokens.sum().item()
            for row in (each["row"] for each in batch):
                _expect_finite(row)
                progress.advance(row["tokens"])
        for _ in range(len(rows) - len(read)):
            progress.advance(0)
        return rows


def _expect_finite(row: Row) -> None:
    if not math.isfinite(row["base_nats"] + row["nats"] + row["kl_base_tuned"]):
        raise CloserlookError(
            f"piece {row['id']}: the logits of the base or the tuned model are not finite; the training has probably diverged "
            "(see the cell's train_log.jsonl)"
        )


def cut_pieces(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[str], texts: Sequence[str], max_tokens: int, context: int
) -> list[Piece]:
    """Pieces of at most `max_tokens` tokens, and one more where the tokenizer begins a text with its own, within the context.

    Where it does, all tokens of the text are scored, after that one; else all but the text's first token.
    """
    pieces = []
    for id_, text, tokens in zip(ids, texts, encode_prompts(tokenizer, PLACEHOLDER, texts), strict=True):
        begun = tokens[:1] == [tokenizer.bos_token_id]
        most = min(max_tokens + begun, context)
        kept = tokens[:most]
        end = _bytes_of(tokenizer, kept) if len(tokens) > most else len(text.encode())
        pieces.append(Piece(id_, kept, end - _bytes_of(tokenizer, kept[:1]), len(tokens) > most))
    return pieces


def _bytes_of(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> int:
    """UTF-8 bytes of the first tokens of a text, without those of a character that a later token completes."""
    return len(decode(tokenizer, tokens).rstrip(INCOMPLETE).encode())
