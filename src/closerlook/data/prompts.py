"""Encode prompts and responses as tokens, in the same way for training, generation and shift.

Prompt and response are tokenized separately and joined as ids, so that every stage sees the same tokens. The name of a special
token in an instruction or a response (`</s>` is also HTML) becomes ordinary tokens.
"""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from closerlook.config.cell import PLACEHOLDER
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_text


def read_template(path: Path) -> str:
    """Read a prompt template. Raises CloserlookError unless it is UTF-8 text with `{instruction}` exactly once."""
    template = read_text(path, "prompt template")
    if (count := template.count(PLACEHOLDER)) != 1:
        raise CloserlookError(f"prompt template {path}: found {PLACEHOLDER} {count} times, expected exactly once")
    return template


def fill_template(template: str, instruction: str) -> str:
    """The complete prompt. Other braces in template and instruction are kept."""
    return template.replace(PLACEHOLDER, instruction)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, template: str, instruction: str) -> list[int]:
    """Token ids of the prompt, with the beginning-of-sequence token that the tokenizer adds, but without an end token."""
    ids = tokenizer(fill_template(template, instruction), split_special_tokens=True)["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def encode_response(tokenizer: PreTrainedTokenizerBase, response: str) -> list[int]:
    """Token ids of the response and the end-of-sequence token. Raises CloserlookError if the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise CloserlookError(
            f"tokenizer {tokenizer.name_or_path}: has no end-of-sequence token, so no response could ever end"
        )
    ids = tokenizer(response, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [*ids, tokenizer.eos_token_id]
