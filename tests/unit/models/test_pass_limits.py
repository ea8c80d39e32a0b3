"""Half the tokens of a pass need half the memory: that is what a retry after out of memory relies on."""

import pytest
import torch

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.models.packed import packed_batches
from closerlook.models.pass_limits import CPU_TOKENS, LOGITS, pass_limits


def test_tokens_and_logits_are_halved_together():
    cuda = torch.device("cuda", 3)
    assert pass_limits(BATCH_TOKENS, cuda) == (BATCH_TOKENS, LOGITS["cuda"])
    assert pass_limits(BATCH_TOKENS // 4, cuda) == (BATCH_TOKENS // 4, LOGITS["cuda"] // 4)
    assert pass_limits(BATCH_TOKENS, torch.device("cpu")) == (CPU_TOKENS, LOGITS["cpu"])
    assert pass_limits(5, torch.device("cpu")).tokens == 5


@pytest.mark.parametrize("most", [1, 7, 30, 1000])
def test_batches_keep_the_order_and_the_limit(most: int):
    responses = [{"id": n, "prompt_token_ids": [0] * (n % 5 + 1), "token_ids": [0] * (3 * n % 11)} for n in range(23)]
    batches = list(packed_batches(responses, most))
    assert [row for batch in batches for row in batch] == responses
    for batch in batches:
        lengths = [len(row["prompt_token_ids"]) + len(row["token_ids"]) for row in batch]
        assert len(batch) == 1 or sum(lengths) <= most
