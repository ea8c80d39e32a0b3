"""Texts in the tokens of a model's own tokenizer. transformers is imported only when a table measures tokens."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@cache  # a grid has a few models and many cells
def tokenizer_of(model: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer in a model's folder."""
    from closerlook.models.load import load_tokenizer

    return load_tokenizer(model)


def response_tokens(model: Path, responses: Sequence[str]) -> list[list[int]]:
    """Token ids of each response as training has them, without the end-of-sequence token."""
    from closerlook.data.prompts import encode_response

    tokenizer = tokenizer_of(model)
    return [encode_response(tokenizer, response)[:-1] for response in responses]
