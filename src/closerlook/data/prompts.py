"""Encode prompts and responses as tokens, in the same way for training, generation and shift.

Prompt and response are tokenized separately and joined as ids, so that every stage sees the same tokens. The name of a special
token in an instruction or a response (`</s>` is also HTML) becomes ordinary tokens.
"""

from collections.abc import Sequence
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


def encode_prompts(tokenizer: PreTrainedTokenizerBase, template: str, instructions: Sequence[str]) -> list[list[int]]:
    """Token ids of each prompt, with the beginning-of-sequence token that the tokenizer adds, but without an end token."""
    prompts = _encode(tokenizer, [fill_template(template, instruction) for instruction in instructions])
    return [ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids for ids in prompts]


def encode_prompt(tokenizer: PreTrainedTokenizerBase, template: str, instruction: str) -> list[int]:
    """Token ids of one prompt, as `encode_prompts` gives them."""
    return encode_prompts(tokenizer, template, [instruction])[0]


def encode_responses(tokenizer: PreTrainedTokenizerBase, responses: Sequence[str]) -> list[list[int]]:
    """Token ids of each response and the end-of-sequence token. Raises CloserlookError if the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise CloserlookError(
            f"tokenizer {tokenizer.name_or_path}: has no end-of-sequence token, so no response could ever end"
        )
    return [[*ids, tokenizer.eos_token_id] for ids in _encode(tokenizer, responses, add_special_tokens=False)]


def encode_response(tokenizer: PreTrainedTokenizerBase, response: str) -> list[int]:
    """Token ids of one response, as `encode_responses` gives them."""
    return encode_responses(tokenizer, [response])[0]


def _encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], add_special_tokens: bool = True
) -> list[list[int]]:
    """Token ids of each text. One call for many texts is faster than a call for each, and uses several cores."""
    if not texts:
        return []
    options = {"add_special_tokens": add_special_tokens, "split_special_tokens": True, "return_attention_mask": False}
    return tokenizer(list(texts), **options)["input_ids"]
