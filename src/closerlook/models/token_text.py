"""The text of token ids, and the offset of each token in it. Encoding the text again could give other tokens."""

from transformers import PreTrainedTokenizerBase

INCOMPLETE = "\ufffd"
"""What bytes decode to that are no whole character."""


def decode(tokenizer: PreTrainedTokenizerBase, token_ids: list[int]) -> str:
    """The text of `token_ids`, without special tokens and without clean-up of spaces."""
    return str(tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def token_starts(tokenizer: PreTrainedTokenizerBase, token_ids: list[int]) -> list[int]:
    """The offset of each token's first character in `decode(tokenizer, token_ids)`, never decreasing.

    A token that begins within a character (bytes of an emoji) has that character's offset. A token without text (a special token)
    has the offset of the next one. The time is linear in the number of tokens, except for bytes that are not UTF-8.
    """
    text = decode(tokenizer, token_ids)
    starts, emitted, context, pending = [], [], 0, 0
    known, length = "", 0  # the text of token_ids[context:pending], and of all that was emitted
    for position in range(len(token_ids)):
        starts.append(length)
        window = decode(tokenizer, token_ids[context : position + 1])
        # Two neighboring windows share their first tokens, so a decoder that trims or joins there does so in both.
        if len(window) > len(known) and not window.endswith(INCOMPLETE):
            emitted.append(window[len(known) :])
            length += len(emitted[-1])
            context, pending = pending, position + 1
            known = decode(tokenizer, token_ids[context:pending])
    tail = decode(tokenizer, token_ids[context:])[len(known) :]
    if "".join([*emitted, tail]) == text:
        return starts
    return _token_starts_by_prefix(tokenizer, token_ids, text)


def _token_starts_by_prefix(tokenizer: PreTrainedTokenizerBase, token_ids: list[int], text: str) -> list[int]:
    """As token_starts, if the text is not the concatenation of its windows (bytes that are not UTF-8): quadratic time."""
    starts, latest = [], 0
    for position in range(len(token_ids)):
        prefix = decode(tokenizer, token_ids[:position])
        agreed = next(
            (i for i, (a, b) in enumerate(zip(prefix, text, strict=False)) if a != b), min(len(prefix), len(text))
        )
        latest = max(latest, agreed)
        starts.append(latest)
    return starts
