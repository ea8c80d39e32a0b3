"""Tokens, micro-batches and their division among ranks."""

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tiny_training import make_rows, make_tokenizer

from closerlook.core.schemas import INSTANCES
from closerlook.train.batches import BatchSchedule, balance_by_length, tokenize
from closerlook.train.distributed import Distributed

CPU = torch.device("cpu")
TEMPLATE = "Question : {instruction} Answer :"


def tokens_of(count=24, max_length=64):
    return tokenize(
        pa.Table.from_pylist(make_rows(count), INSTANCES), make_tokenizer(), TEMPLATE, max_length, quiet=True
    )


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.data())
def test_dealing_gives_every_place_once_and_balances(lengths, data):
    bins = data.draw(st.integers(1, len(lengths)))
    groups = balance_by_length(lengths, bins)
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    assert all(groups)
    totals = [sum(lengths[position] for position in group) for group in groups]
    assert max(totals) - min(totals) <= max(lengths)


def test_every_instance_starts_once_and_ends_once():
    instances, counts = tokens_of()
    assert counts == {"rows": 24, "used": 24, "cut_by_max_length": 0, "dropped_prompt_too_long": 0}
    for instance in instances:
        tokens = instance.tokens.tolist()
        assert tokens.count(1) == 1
        assert tokens[0] == 1
        assert tokens.count(2) == 1
        assert tokens[-1] == 2
        assert 0 < instance.trained_from < len(tokens)


@pytest.mark.parametrize(("max_length", "dropped"), [(10, 24), (11, 0)])
def test_prompts_that_fill_max_length_are_dropped(max_length, dropped):
    # <s> Question : which color has thing0 ? Answer : are ten tokens
    if dropped:
        with pytest.raises(Exception, match="no instance to train on"):
            tokens_of(max_length=max_length)
    else:
        instances, counts = tokens_of(max_length=max_length)
        assert counts["cut_by_max_length"] == 24
        assert {len(instance.tokens) - instance.trained_from for instance in instances} == {1}
        assert all(2 not in instance.tokens for instance in instances)


@pytest.mark.parametrize(("ranks", "micro_steps"), [(1, 1), (1, 8), (2, 2), (3, 2), (8, 1)])
def test_ranks_share_a_step_without_loss_or_overlap(ranks, micro_steps):
    import numpy as np

    instances, _ = tokens_of()
    schedule = BatchSchedule(instances, np.arange(24).reshape(3, 8), micro_steps)
    shares = [schedule.batches_of_rank(1, Distributed(rank, ranks, CPU)) for rank in range(ranks)]
    assert all(len(share.batches) == micro_steps for share in shares)
    positions = [position for share in shares for batch in share.batches for position in batch.positions]
    assert sorted(positions) == list(range(8, 16))
    assert {(share.tokens, share.trained_tokens) for share in shares} == {
        (
            sum(len(instance.tokens) for instance in instances[8:16]),
            sum(len(instance.tokens) - instance.trained_from for instance in instances[8:16]),
        )
    }
    assert sum(share.slots for share in shares) == shares[0].tokens
    for share in shares:
        for batch in share.batches:
            start = 0
            pairs = []
            for position, length in zip(batch.positions, batch.inputs["segments"], strict=True):
                instance = instances[position]
                assert batch.inputs["input_ids"][0, start : start + length].tolist() == instance.tokens.tolist()
                assert batch.inputs["position_ids"][0, start : start + length].tolist() == list(range(length))
                pairs += [(start + i - 1, int(instance.tokens[i])) for i in range(instance.trained_from, length)]
                start += length
            assert list(zip(batch.inputs["logits_to_keep"].tolist(), batch.targets.tolist(), strict=True)) == pairs
