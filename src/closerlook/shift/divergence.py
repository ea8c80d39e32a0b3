"""Statistics that compare the next-token distributions of base and tuned model (section 3; Lin et al. 2023).

P_base and P_tuned are the softmax over the full vocabulary, in float32. Probability and rank are those of the argmax of P_tuned;
ties go to the lowest id.

The AlignTDS variant follows the public code of Lin et al. (Re-Align/AlignTDS, compute_dist_diff.py) in what decides the
numbers: each model's 30 largest logits; a softmax over those 30; KL(P_base || P_tuned) summed over the tokens in both
lists, which can be negative; the renormalized probability of the tuned model's first token in the base model's list, or 0,
and its 0-based position. There are four differences. An absent token gets position 30, the list's length; their published
curves use 50. Tokens are compared by id, not by their decoded text. The context is the generated ids, not their text
encoded again, and the same for both models; theirs can give the base model another prompt. Numbers are float32; theirs are
float16.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ALIGNTDS_TOP = 30
SHOWN_TOP = 5
_BLOCK = 64
"""Consecutive tokens per block of `top_logits`, which compares the maxima of blocks first."""
_CACHED = 1 << 18
"""Elements of a buffer that fits in a CPU's cache."""


def compare_distributions(base: Tensor, tuned: Tensor) -> dict[str, Tensor]:
    """Statistics of each position from base and tuned logits, both (positions, vocabulary) float32.

    Returns tensors by the names of SHIFT's columns: (positions,), or (positions, min(5, vocabulary)) for base_top5_*. kl_* are
    in nats and clamped at 0; a KL is nan or inf if a logit is not finite.
    """
    base_values, base_ids = top_logits(base, ALIGNTDS_TOP)
    tuned_values, tuned_ids = top_logits(tuned, ALIGNTDS_TOP)
    token = first_maximum(tuned, tuned_values, tuned_ids)[:, None]
    peaks = (base_values[:, :1], base_ids[:, :1]), (tuned_values[:, :1], tuned_ids[:, :1])
    compared = _compare_at(base, tuned, *peaks, token)
    return {
        "kl_base_tuned": compared.kl_base_tuned,
        "kl_tuned_base": compared.kl_tuned_base,
        "base_prob": compared.base_log_prob.exp(),
        "tuned_prob": compared.tuned_log_prob.exp(),
        "base_rank": 1 + compared.larger.int(),
        "tuned_token": token[:, 0],
        "base_top5_ids": base_ids[:, :SHOWN_TOP],
        "base_top5_probs": (base_values[:, :SHOWN_TOP] - compared.base_log_z).exp(),
        **aligntds(base_values, base_ids, tuned_values, tuned_ids, token),
    }


def compare_on_text(base: Tensor, tuned: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    """How likely both models find the next token of a text, and their KL divergence, by the names of RETENTION's columns.

    base, tuned: logits, (positions, vocabulary) float32. tokens: (positions,) int64. Returns nats, (positions,) float32 each; nan
    or inf if a logit is not finite.
    """
    compared = _compare_at(base, tuned, base.max(-1, keepdim=True), tuned.max(-1, keepdim=True), tokens[:, None])
    return {
        "base_nats": -compared.base_log_prob,
        "nats": -compared.tuned_log_prob,
        "kl_base_tuned": compared.kl_base_tuned,
    }


class _Comparison(NamedTuple):
    """Of each position: divergences in nats, a token's log-probabilities and number of larger base logits, the base's log Z."""

    kl_base_tuned: Tensor
    kl_tuned_base: Tensor
    base_log_prob: Tensor
    tuned_log_prob: Tensor
    larger: Tensor
    base_log_z: Tensor
    """(positions, 1); all others (positions,)."""


def _compare_at(
    base: Tensor, tuned: Tensor, base_top: Sequence[Tensor], tuned_top: Sequence[Tensor], token: Tensor
) -> _Comparison:
    """base_top, tuned_top: the largest logits and their ids, (positions, 1) each; token: (positions, 1)."""
    (base_value, base_id), (tuned_value, tuned_id) = base_top, tuned_top
    chosen = base.gather(-1, token)
    (base_drift, tuned_drift), (base_peak, tuned_peak), larger = _over_vocabulary(
        base, tuned, base_id, tuned_id, chosen
    )
    # log Z is the largest logit minus the log of its probability; KL(p || q) = E_p[l_p - l_q] - (log Z_p - log Z_q).
    base_log_z, tuned_log_z = base_value - base_peak.log(), tuned_value - tuned_peak.log()
    log_ratio = (base_log_z - tuned_log_z)[:, 0]
    return _Comparison(
        (base_drift - log_ratio).clamp(min=0),
        (log_ratio - tuned_drift).clamp(min=0),
        (chosen - base_log_z)[:, 0],
        (tuned.gather(-1, token) - tuned_log_z)[:, 0],
        larger,
        base_log_z,
    )


def _over_vocabulary(
    base: Tensor, tuned: Tensor, base_peak: Tensor, tuned_peak: Tensor, chosen: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The three results that need passes over the whole vocabulary.

    E[base - tuned], (2, positions), and the probability of the peak token, (2, positions, 1), under base and tuned model; the
    number of base logits larger than `chosen`, (positions,). On a CPU, a few rows at a time go through two buffers that fit in
    the cache: new memory for each intermediate result costs more than the arithmetic.
    """
    positions, vocabulary = base.shape
    rows = max(1, positions if base.is_cuda else min(positions, _CACHED // vocabulary))
    work = base.new_empty(2, rows, vocabulary)
    drift, height, larger = base.new_empty(2, positions), base.new_empty(2, positions, 1), base.new_empty(positions)
    for first in range(0, positions, rows):
        block = slice(first, first + rows)
        difference, p = work[:, : len(base[block])]
        torch.sub(base[block], tuned[block], out=difference)
        for model, (logits, peak) in enumerate(((base, base_peak), (tuned, tuned_peak))):
            torch.softmax(logits[block], -1, out=p)
            height[model, block] = p.gather(-1, peak[block])
            drift[model, block] = p.mul_(difference).sum(-1)
        larger[block] = torch.gt(base[block], chosen[block], out=p).sum(-1)
    return drift, height, larger


def aligntds(
    base_values: Tensor, base_ids: Tensor, tuned_values: Tensor, tuned_ids: Tensor, token: Tensor
) -> dict[str, Tensor]:
    """The AlignTDS variant from both models' top lists, (positions, 30), and the tuned model's token, (positions, 1)."""
    log_base, log_tuned = torch.log_softmax(base_values, -1), torch.log_softmax(tuned_values, -1)
    shared = base_ids[:, :, None] == tuned_ids[:, None, :]
    ratio = log_base[:, :, None] - log_tuned[:, None, :]
    listed = base_ids == token
    return {
        "aligntds_kl_base_tuned": (shared * (log_base.exp()[:, :, None] * ratio)).sum((1, 2)),
        "aligntds_base_prob": (listed * log_base.exp()).sum(-1),
        "aligntds_base_rank": torch.where(listed.any(-1), listed.int().argmax(-1), ALIGNTDS_TOP),
    }


def top_logits(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values and ids of the largest logits of each row, largest first, ties by id: (positions, min(count, vocabulary)).

    The largest logits are in the blocks with the largest maxima, so most of the vocabulary is read only once. Among logits equal
    to the last one listed, the choice is arbitrary.
    """
    rows, vocabulary = logits.shape
    blocks = vocabulary // _BLOCK
    if blocks < 2 * count:
        values, ids = logits.topk(min(count, vocabulary), -1)
    else:
        blocked = logits[:, : blocks * _BLOCK].unflatten(-1, (blocks, _BLOCK))
        chosen = blocked.amax(-1).topk(count, -1).indices[:, :, None]
        tokens = torch.arange(vocabulary, device=logits.device)
        candidates = [blocked.gather(1, chosen.expand(-1, -1, _BLOCK)).flatten(1), logits[:, blocks * _BLOCK :]]
        candidate_ids = [(chosen * _BLOCK + tokens[:_BLOCK]).flatten(1), tokens[blocks * _BLOCK :].expand(rows, -1)]
        values, positions = torch.cat(candidates, -1).topk(count, -1)
        ids = torch.cat(candidate_ids, -1).gather(-1, positions)
    ids, order = ids.sort(-1)
    values, order = values.gather(-1, order).sort(dim=-1, descending=True, stable=True)
    return values, ids.gather(-1, order)


def first_maximum(logits: Tensor, values: Tensor, ids: Tensor) -> Tensor:
    """Lowest id among the largest logits of each row, (positions,), from the output of `top_logits`."""
    token = torch.where(values == values[:, :1], ids, logits.shape[-1] - 1).amin(-1)
    crowded = (values[:, -1] == values[:, 0]).nonzero()[:, 0]  # perhaps more ties than the list has room for
    token[crowded] = logits[crowded].argmax(-1)
    return token
