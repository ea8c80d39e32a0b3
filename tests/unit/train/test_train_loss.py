"""The head and its cross entropy, against hand computation, float64 and transformers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tiny_training import make_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from closerlook.core.errors import CloserlookError
from closerlook.models.packed import PACKED, pack
from closerlook.train import loss as loss_module
from closerlook.train.loss import HeadLoss, LinearCrossEntropy


def test_hand_computed_on_a_vocabulary_of_three():
    hidden = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weight = torch.tensor([[0.0, math.log(2)], [math.log(3), 0.0], [0.0, 0.0]])
    # logits: (0, ln 3, 0) -> (1, 3, 1) / 5 ; (ln 2, 0, 0) -> (2, 1, 1) / 4
    loss = LinearCrossEntropy.apply(hidden, weight, None, torch.tensor([1, 2]))
    assert loss.item() == pytest.approx(math.log(5 / 3) + math.log(4), rel=1e-6)


@pytest.fixture(autouse=True)
def small_pieces():
    """Restore the sizes that tests change (hypothesis runs many cases within one fixture)."""
    kept, blocks = loss_module.KEPT_BYTES, dict(loss_module.BLOCK)
    yield
    loss_module.KEPT_BYTES = kept
    loss_module.BLOCK.update(blocks)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(1, 9), width=st.integers(1, 5), words=st.integers(2, 11), kept=st.integers(1, 200),
    block=st.integers(1, 12), bias=st.booleans(), scale=st.sampled_from([0.1, 1.0, 30.0]), seed=st.integers(0, 1000),
)  # fmt: skip
def test_loss_and_gradients_against_float64(rows, width, words, kept, block, bias, scale, seed):
    torch.manual_seed(seed)
    hidden, weight = torch.randn(rows, width) * scale, torch.randn(words, width)
    offset = torch.randn(words) if bias else None
    targets = torch.randint(words, (rows,))
    exact = [None if t is None else t.double().requires_grad_() for t in (hidden, weight, offset)]
    logits = torch.nn.functional.linear(exact[0], exact[1], exact[2])
    expected = 0.3 * torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    expected.backward()
    own = [None if t is None else t.clone().requires_grad_() for t in (hidden, weight, offset)]
    loss_module.KEPT_BYTES, loss_module.BLOCK["cpu"] = kept, block
    loss = 0.3 * LinearCrossEntropy.apply(*own, targets)
    loss.backward()
    # float32 logits of size `scale` are off by about scale * 1e-7
    torch.testing.assert_close(loss.double(), expected, atol=2e-5 * scale, rtol=1e-5)
    for actual, reference in zip(own, exact, strict=True):
        if actual is not None:
            torch.testing.assert_close(actual.grad.double(), reference.grad, atol=3e-5 * scale, rtol=1e-4)


@pytest.mark.parametrize("kept", [1 << 12, 1 << 29])
def test_gradients_in_bfloat16_are_rounded_not_wrong(kept):
    """Of a sure prediction, the gradient is that of a small difference from 1, which bfloat16 cannot hold beside the 1."""
    torch.manual_seed(0)
    loss_module.KEPT_BYTES, loss_module.BLOCK["cpu"] = kept, 64
    hidden, weight, targets = torch.randn(40, 32), torch.randn(300, 32), torch.randint(300, (40,))
    hidden[:20] = 0.25 * weight[targets[:20]]  # sure: probabilities of about 0.999
    rounded = [t.bfloat16() for t in (hidden, weight)]
    exact = [t.double().requires_grad_() for t in rounded]
    expected = torch.nn.functional.cross_entropy(exact[0] @ exact[1].T, targets, reduction="sum")
    expected.backward()
    own = [t.clone().requires_grad_() for t in rounded]
    loss = LinearCrossEntropy.apply(*own, None, targets)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-2)  # logits near 8 are rounded by up to 0.03
    for actual, reference in zip(own, exact, strict=True):
        assert actual.grad.dtype == torch.bfloat16
        assert (actual.grad - reference.grad).norm() < 1e-2 * reference.grad.norm()


def test_a_block_without_any_possible_token_changes_nothing():
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(3, 4), torch.randn(8, 4), torch.zeros(8)
    bias[4:] = -torch.inf
    targets = torch.tensor([0, 1, 3])
    own = [t.clone().requires_grad_() for t in (hidden, weight)]
    loss_module.BLOCK["cpu"] = 4
    loss = LinearCrossEntropy.apply(*own, bias, targets)
    loss.backward()
    exact = [t.clone().requires_grad_() for t in (hidden, weight)]
    expected = torch.nn.functional.cross_entropy(exact[0] @ exact[1][:4].T, targets, reduction="sum")
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for actual, reference in zip(own, exact, strict=True):
        torch.testing.assert_close(actual.grad, reference.grad)


def test_frozen_head_gets_no_gradient_and_extreme_logits_stay_finite():
    hidden = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = LinearCrossEntropy.apply(hidden, torch.tensor([[1.0, 0.0], [0.0, 1.0]]), None, torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert hidden.grad.tolist() == [[1.0, -1.0]]


def test_memory_is_bounded_by_piece_and_block():
    """No float32 tensor of more than a piece's rows by a block is made, and none of all rows by the whole vocabulary."""
    loss_module.KEPT_BYTES, loss_module.BLOCK["cpu"] = 2 * 1000 * 10, 100
    hidden, weight = torch.randn(50, 4).bfloat16(), torch.randn(1000, 4).bfloat16().requires_grad_()

    class Largest(TorchDispatchMode):
        float32, other = 0, 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            output = func(*args, **(kwargs or {}))
            if isinstance(output, torch.Tensor) and output.shape[-1:] != (4,):  # not the gradients
                kind = "float32" if output.dtype == torch.float32 else "other"
                setattr(self, kind, max(getattr(self, kind), output.numel()))
            return output

    with Largest() as largest:
        LinearCrossEntropy.apply(hidden, weight, None, torch.randint(1000, (50,)))
    assert largest.float32 <= 10 * 100
    assert largest.other <= 10 * 100


@pytest.mark.parametrize("tied", [False, True])
def test_whole_model_against_transformers(tied):
    plain, ours = make_model(tie_word_embeddings=tied), make_model(tie_word_embeddings=tied)
    sequences, trained_from = [[1, 7, 9, 4, 2], [1, 8, 8, 30, 31, 32, 2]], [2, 4]
    expected = 0.0
    for sequence, start in zip(sequences, trained_from, strict=True):
        labels = torch.tensor([[-100] * start + sequence[start:]])
        expected = expected + plain(input_ids=torch.tensor([sequence]), labels=labels).loss * (len(sequence) - start)
    expected.backward()
    ours.set_attn_implementation(PACKED)
    index = torch.tensor([2, 3, 4, 5 + 4, 5 + 5, 5 + 6])
    inputs = pack(sequences) | {"logits_to_keep": index - 1}
    loss = HeadLoss(ours)(ours, inputs, inputs["input_ids"][0, index])
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)  # float32, another order of sums


def test_models_that_change_their_logits_are_refused():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = make_model()

        def get_output_embeddings(self):
            return self.model.lm_head

        def forward(self, **inputs):
            outputs = self.model(**inputs)
            outputs.logits = outputs.logits / 8
            return outputs

    model = Scaled()
    with pytest.raises(CloserlookError, match="scales or caps its logits"):
        HeadLoss(model)(
            model, {"input_ids": torch.tensor([[1, 5, 6]]), "logits_to_keep": torch.tensor([0])}, torch.tensor([5])
        )
    model.model.lm_head = nn.Identity()
    with pytest.raises(CloserlookError, match="output layer is Identity"):
        HeadLoss(model)
