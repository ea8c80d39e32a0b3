"""Tokens, micro-batches and their division among ranks."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.tiny_training import make_rows, make_tokenizer

from closerlook.config.settings import EngineSettings
from closerlook.core.schemas import INSTANCES
from closerlook.train.batches import BatchSchedule, balance_by_length, divide, tokenize
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


LENGTHS = st.lists(st.integers(1, 2048), min_size=1, max_size=40)


@given(LENGTHS, st.integers(1, 8), st.integers(1, 40), st.one_of(st.none(), st.integers(1, 10_000)))
def test_micro_batches_keep_to_their_limits(lengths, ranks, micro_batch, micro_tokens):
    assume(ranks <= len(lengths))
    groups = divide(lengths, ranks, EngineSettings(micro_batch=micro_batch, micro_tokens=micro_tokens))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    assert len(groups) % ranks == 0
    assert all(groups)
    tokens = max(micro_tokens or sum(lengths), *lengths, 1)
    few = len(groups) + ranks > len(lengths)  # more micro-batches would leave a rank without an instance
    assert len(lengths) <= micro_batch * len(groups) or few
    assert max(sum(lengths[index] for index in group) for group in groups) <= tokens or few
    if fewer := len(groups) - ranks:  # one per rank less would not do
        largest = max(sum(lengths[index] for index in group) for group in balance_by_length(lengths, fewer))
        assert len(lengths) > micro_batch * fewer or largest > tokens


def test_steps_of_many_tokens_have_more_micro_batches():
    instances, _ = tokens_of()
    by_length = sorted(instances, key=lambda instance: len(instance.tokens))
    schedule = BatchSchedule(by_length, np.arange(24).reshape(3, 8), EngineSettings(micro_tokens=100))
    micro_steps = schedule.micro_steps(2)
    assert micro_steps == sorted(micro_steps)
    assert micro_steps[0] < micro_steps[-1]
    for step, expected in enumerate(micro_steps):
        for rank in range(2):
            batches = schedule.batches_of_rank(step, Distributed(rank, 2, CPU)).batches
            assert len(batches) == expected
            assert all(batch.inputs["input_ids"].numel() <= 100 for batch in batches)


@pytest.mark.parametrize(
    ("ranks", "micro_batch", "micro_steps"), [(1, 8, 1), (1, 1, 8), (2, 2, 2), (3, 1, 2), (8, 8, 1)]
)
def test_ranks_share_a_step_without_loss_or_overlap(ranks, micro_batch, micro_steps):
    instances, _ = tokens_of()
    engine = EngineSettings(micro_batch=micro_batch)
    schedule = BatchSchedule(instances, np.arange(24).reshape(3, 8), engine)
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
