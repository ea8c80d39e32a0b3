"""Linear layers optimized for inference give the same values for all shapes."""

import pytest
import torch
from tests.support.tiny_models import tiny_model
from torch import nn

from closerlook.models.linear import InferenceLinear, optimize_for_inference
from closerlook.models.logits import Network
from closerlook.models.precision import multiplies_bfloat16


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(0, 48), (1, 48), (3, 7, 48), (200, 48)])
def test_equals_the_layer_it_replaces(shape, bias):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(48, 320, bias=bias))
    rows = torch.randn(shape)
    expected = model(rows)
    optimize_for_inference(model)
    assert isinstance(model[0], InferenceLinear)
    with torch.inference_mode():
        # sums of 48 float32 products in another order
        torch.testing.assert_close(model(rows), expected, atol=1e-5, rtol=1e-5)
        strided = rows.transpose(0, -2).contiguous().transpose(0, -2)
        torch.testing.assert_close(model(strided), expected, atol=1e-5, rtol=1e-5)


def test_a_tied_embedding_stays_and_adapters_are_left_alone():
    model = tiny_model(tie_word_embeddings=True)
    before = model.model.embed_tokens.weight
    optimize_for_inference(model)
    assert model.model.embed_tokens.weight is before
    assert isinstance(model.lm_head, InferenceLinear)
    adapter = nn.ModuleDict({"lora_A": nn.Linear(4, 4)})
    optimize_for_inference(adapter)
    assert type(adapter["lora_A"]) is nn.Linear


@pytest.mark.parametrize("multiplied", [True, False])
def test_bfloat16_is_optimized_where_the_cpu_multiplies_it(multiplied, monkeypatch):
    if multiplied and not multiplies_bfloat16(torch.device("cpu")):
        pytest.skip("this CPU does not multiply bfloat16")
    monkeypatch.setattr("closerlook.models.linear.multiplies_bfloat16", lambda device: multiplied)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(48, 320)).bfloat16()
    rows = torch.randn(9, 48).bfloat16()
    expected = model(rows)
    optimize_for_inference(model)
    assert isinstance(model[0], InferenceLinear) == multiplied
    with torch.inference_mode():
        # outputs of about 1, rounded to 8 bits
        torch.testing.assert_close(model(rows), expected, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("tied", [True, False])
def test_greedy_tokens_of_a_rounded_head_are_those_of_the_float32_head(tied):
    """Among 5,000 tokens with logits near 30, bfloat16 holds 8 values per unit: most largest ones are ties there."""
    model = tiny_model(tie_word_embeddings=tied, vocab_size=5000)
    width = model.config.hidden_size
    torch.manual_seed(0)
    weight = torch.randn(5000, width) * 0.1
    weight[:, 0] = 30.0
    model.lm_head.weight.data = weight
    if tied:
        model.model.embed_tokens.weight = model.lm_head.weight
    network = Network(model.bfloat16())
    hidden = torch.randn(64, width)
    hidden[:, 0] = 1.0
    hidden = hidden.bfloat16()
    exact = hidden.double() @ weight.bfloat16().double().T
    with torch.inference_mode():
        tokens, logits = network.greedy(hidden)
        torch.testing.assert_close(logits.double(), exact.amax(-1), atol=1e-4, rtol=0)
        assert tokens.tolist() == exact.argmax(-1).tolist()
        assert (hidden @ weight.bfloat16().T).argmax(-1).tolist() != tokens.tolist()  # it is not for nothing
        zero = torch.zeros_like(hidden)  # all tokens are equally likely
        assert network.greedy(zero)[0].tolist() == [0] * 64
        hidden[3, 1] = torch.nan
        assert not network.greedy(hidden)[1].isfinite().all()
