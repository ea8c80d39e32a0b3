"""Prompt and response as tokens: the one place that decides the context training, generation and shift all see.

Prompt and response are tokenised apart and joined as ids, so the context is the same token by token everywhere. Text is data:
the name of a special token inside an instruction or a response (`</s>` is also HTML) becomes ordinary tokens, never control.
"""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from closerlook.config.cell import PLACEHOLDER
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_text


def read_template(path: Path) -> str:
    """Read a prompt template. Raises CloserlookError unless it is UTF-8 text that holds `{instruction}` exactly once."""
    template = read_text(path, "prompt template")
    if (count := template.count(PLACEHOLDER)) != 1:
        raise CloserlookError(f"prompt template {path}: holds {PLACEHOLDER} {count} times, expected exactly once")
    return template


def fill(template: str, instruction: str) -> str:
    """The whole text the model sees; braces in either part are left alone."""
    return template.replace(PLACEHOLDER, instruction)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, template: str, instruction: str) -> list[int]:
    """Token ids of the filled template, with the tokenizer's own beginning-of-sequence token and without an end."""
    ids = tokenizer(fill(template, instruction), split_special_tokens=True)["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def encode_response(tokenizer: PreTrainedTokenizerBase, response: str) -> list[int]:
    """Token ids of the response and the end-of-sequence token. Raises CloserlookError where the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise CloserlookError(
            f"tokenizer {tokenizer.name_or_path}: has no end-of-sequence token, so no response could ever end"
        )
    ids = tokenizer(response, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [*ids, tokenizer.eos_token_id]
