"""Log-probabilities of continuations, each after its context. A context that several continuations share is read once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from closerlook.config.cell import PLACEHOLDER
from closerlook.core.errors import CloserlookError
from closerlook.data.prompts import encode_prompts
from closerlook.models.logits import Network
from closerlook.models.packed import pack
from closerlook.models.pass_limits import PassLimits


class Continuation(NamedTuple):
    """Tokens, of which those from `start` on (at least 1) are scored, given all tokens before each."""

    tokens: list[int]
    start: int


def encode_continuations(
    tokenizer: PreTrainedTokenizerBase, contexts: Sequence[str], texts: Sequence[str]
) -> list[Continuation]:
    """The continuation of each context by a text, tokenized as one string, as in lm-evaluation-harness.

    White space at the end of a context belongs to the text. Tokens of the string that differ from those of the context alone are
    scored, so that a token over the border is (which lm-evaluation-harness leaves out). Without any token before them, the
    beginning-of-sequence token is put there, or what stands for it.
    """
    distinct = list(dict.fromkeys(contexts))
    stripped = encode_prompts(tokenizer, PLACEHOLDER, [context.rstrip() for context in distinct])
    alone = dict(zip(distinct, stripped, strict=True))
    together = encode_prompts(tokenizer, PLACEHOLDER, [a + b for a, b in zip(contexts, texts, strict=True)])
    first = first_token(tokenizer)
    continuations = []
    for context, tokens in zip((alone[text] for text in contexts), together, strict=True):
        # At least the last token is scored, even if the text changes no token.
        start = next((i for i, (a, b) in enumerate(zip(context, tokens[:-1], strict=False)) if a != b), None)
        start = min(len(context), len(tokens) - 1) if start is None else start
        continuations.append(Continuation(tokens, start) if start else Continuation([first, *tokens], 1))
    return continuations


def fit(continuation: Continuation, context: int) -> tuple[Continuation, bool]:
    """The last tokens of a continuation, of which a model reads at most `context`, and whether others were left out.

    A model does not read the last one. Of a text that fills the context, the first token is not scored.
    """
    tokens, start = continuation
    cut = max(0, len(tokens) - 1 - context)
    return Continuation(tokens[cut:], max(1, start - cut)), cut > 0


def windows(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], context: int) -> Iterator[Continuation]:
    """All tokens of a text in pieces that fit into the model's context, as in lm-evaluation-harness.

    The first piece begins after the beginning-of-sequence token, or what stands for it; each other one after the last token of
    the piece before it, except for the last piece, which is shorter and has as many tokens before it as fit.
    """
    first = first_token(tokenizer)
    tokens = [*tokens] if tokens[0] == first else [first, *tokens]
    for start in range(1, len(tokens), context):
        end = min(start + context, len(tokens))
        begin = max(0, end - 1 - context)
        yield Continuation(tokens[begin:end], start - begin)


def first_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The beginning-of-sequence token, or the end-of-sequence token of a tokenizer without one."""
    token = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return cast(int, token)


@torch.inference_mode()
def log_probs(
    network: Network, continuations: Sequence[Continuation], limits: PassLimits
) -> tuple[np.ndarray, np.ndarray]:
    """The log-probability in nats of each continuation, the sum over its scored tokens: (continuations,) float64.

    And whether each of these tokens is the likeliest one: (continuations,) bool. A model reads all tokens but the last, whose
    distribution they give: choices of one token have all their tokens read in common. Raises CloserlookError for logits that
    are not finite.
    """
    stems: dict[tuple[int, ...], list[int]] = {}
    for number, continuation in enumerate(continuations):
        stems.setdefault(tuple(continuation.tokens[:-1]), []).append(number)
    sums, greedy = np.zeros(len(continuations)), np.ones(len(continuations), dtype=bool)
    for batch in _batches(list(stems), limits.tokens):
        positions: list[int] = []
        targets: list[int] = []
        owners: list[int] = []
        offset = 0
        for stem in batch:
            for number in stems[stem]:
                tokens, start = continuations[number]
                positions += range(offset + start - 1, offset + len(stem))
                targets += tokens[start:]
                owners += [number] * (len(tokens) - start)
            offset += len(stem)
        hidden = network.hidden(**pack(batch, network.device))[0]
        expected = torch.tensor(targets, device=network.device)
        scores, likeliest = network.log_probs(hidden[positions], expected, limits.logits)
        np.add.at(sums, owners, scores.double().cpu().numpy())
        np.logical_and.at(greedy, owners, likeliest.cpu().numpy())
    if not np.isfinite(sums).all():
        raise CloserlookError("the model's logits are not finite; did its training diverge?")
    return sums, greedy


def _batches(stems: list[tuple[int, ...]], most: int) -> Iterator[list[tuple[int, ...]]]:
    """Stems, in their order, in batches of at most `most` tokens, or of one stem."""
    batch: list[tuple[int, ...]] = []
    for stem in stems:
        if batch and sum(map(len, batch)) + len(stem) > most:
            yield batch
            batch = []
        batch.append(stem)
    if batch:
        yield batch
