"""From token ids back to text, and where in it each token begins: always from the ids, since encoding text again may differ."""

from transformers import PreTrainedTokenizerBase

_INCOMPLETE = "\ufffd"


def decode(tokenizer: PreTrainedTokenizerBase, token_ids: list[int]) -> str:
    """The text of `token_ids` without special tokens, not prettified."""
    return str(tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def token_starts(tokenizer: PreTrainedTokenizerBase, token_ids: list[int]) -> list[int]:
    """Character offset in `decode(tokenizer, token_ids)` where each token begins: as many as tokens, never decreasing.

    A token that begins inside a character (bytes of an emoji) has the offset of that character; one without text (a special
    token) the offset of what follows. Linear in the number of tokens, apart from runs of bytes that are no text.
    """
    text = decode(tokenizer, token_ids)
    starts, emitted, context, pending = [], [], 0, 0
    known, length = "", 0  # the text of token_ids[context:pending], and the length of all that is emitted
    for position in range(len(token_ids)):
        starts.append(length)
        window = decode(tokenizer, token_ids[context : position + 1])
        # Two neighbouring windows share their first tokens, so a decoder that trims or joins there does so in both.
        if len(window) > len(known) and not window.endswith(_INCOMPLETE):
            emitted.append(window[len(known) :])
            length += len(emitted[-1])
            context, pending = pending, position + 1
            known = decode(tokenizer, token_ids[context:pending])
    tail = decode(tokenizer, token_ids[context:])[len(known) :]
    if "".join([*emitted, tail]) == text:
        return starts
    return _starts_by_prefixes(tokenizer, token_ids, text)


def _starts_by_prefixes(tokenizer: PreTrainedTokenizerBase, token_ids: list[int], text: str) -> list[int]:
    """The same where the text is not the sum of its windows (bytes that are no UTF-8): quadratic in the tokens."""
    starts, latest = [], 0
    for position in range(len(token_ids)):
        prefix = decode(tokenizer, token_ids[:position])
        agreed = next(
            (i for i, (a, b) in enumerate(zip(prefix, text, strict=False)) if a != b), min(len(prefix), len(text))
        )
        latest = max(latest, agreed)
        starts.append(latest)
    return starts
