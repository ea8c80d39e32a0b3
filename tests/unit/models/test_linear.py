"""Linear layers optimized for inference give the same values for all shapes."""

import pytest
import torch
from tests.support.tiny_models import tiny_model
from torch import nn

from closerlook.models.linear import InferenceLinear, optimize_for_inference


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


def test_a_tied_embedding_stays_and_other_precisions_are_left_alone():
    model = tiny_model(tie_word_embeddings=True)
    before = model.model.embed_tokens.weight
    optimize_for_inference(model)
    assert model.model.embed_tokens.weight is before
    assert isinstance(model.lm_head, InferenceLinear)
    half = tiny_model().bfloat16()
    optimize_for_inference(half)
    assert type(half.lm_head) is nn.Linear
