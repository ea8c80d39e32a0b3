"""Half the tokens of a pass need half the memory: that is what a retry after out of memory relies on."""

import pytest
import torch

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.models.packed import packed_batches
from closerlook.models.pass_limits import LOGITS, TOKENS, pass_limits


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_tokens_and_logits_are_halved_together(kind: str):
    device = torch.device(kind, 0)
    assert pass_limits(BATCH_TOKENS, device) == (TOKENS[kind], LOGITS[kind])
    assert pass_limits(BATCH_TOKENS // 4, device) == (TOKENS[kind] // 4, LOGITS[kind] // 4)
    assert min(pass_limits(1, device)) >= 1


@pytest.mark.parametrize("most", [1, 7, 30, 1000])
def test_batches_keep_the_order_and_the_limit(most: int):
    responses = [{"id": n, "prompt_token_ids": [0] * (n % 5 + 1), "token_ids": [0] * (3 * n % 11)} for n in range(23)]
    batches = list(packed_batches(responses, most))
    assert [row for batch in batches for row in batch] == responses
    for batch in batches:
        lengths = [len(row["prompt_token_ids"]) + len(row["token_ids"]) for row in batch]
        assert len(batch) == 1 or sum(lengths) <= most
