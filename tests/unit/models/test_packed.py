"""Packed sequences give the same logits and gradients as separate sequences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from closerlook.models.packed import PACKED, pack

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
}
LAYERS = ["sliding_attention", "full_attention"]
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES, num_key_value_heads=2)),
    "mistral": (MistralForCausalLM, MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=4)),
    "gemma3": (
        Gemma3ForCausalLM,
        Gemma3TextConfig(**SIZES, num_key_value_heads=1, head_dim=8, sliding_window=4, layer_types=LAYERS),
    ),
    "phi": (PhiForCausalLM, PhiConfig(**SIZES, partial_rotary_factor=0.5)),
}


def make(name):
    torch.manual_seed(0)
    kind, config = MODELS[name]
    return kind(config).eval()


@pytest.mark.parametrize("name", MODELS)
def test_packed_equals_separate(name):
    model = make(name)
    generator = torch.Generator().manual_seed(1)
    sequences = [torch.randint(50, (length,), generator=generator).tolist() for length in (1, 12, 5, 9)]
    model.set_attn_implementation("sdpa")
    separate = torch.cat([model(input_ids=torch.tensor([sequence])).logits[0] for sequence in sequences])
    separate.square().mean().backward()
    expected = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.set_attn_implementation(PACKED)
    packed = model(**pack(sequences)).logits[0]
    torch.testing.assert_close(packed, separate, atol=1e-5, rtol=1e-5)
    packed.square().mean().backward()
    for n, p in model.named_parameters():
        if n in expected:
            torch.testing.assert_close(p.grad, expected[n], atol=1e-5, rtol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=10), min_size=1, max_size=5), st.data())
def test_no_sequence_sees_another(sequences, data):
    """Changing a sequence does not change the logits of the others in any bit."""
    model = make("mistral")
    model.set_attn_implementation(PACKED)
    index = data.draw(st.integers(0, len(sequences) - 1))
    changed = list(sequences)
    changed[index] = [(token + 1) % 50 for token in sequences[index]]
    with torch.no_grad():
        before, after = (
            model(**pack(batch)).logits[0].split([len(s) for s in batch]) for batch in (sequences, changed)
        )
    for other in range(len(sequences)):
        if other != index:
            torch.testing.assert_close(before[other], after[other], atol=1e-6, rtol=0)
    assert not torch.equal(before[index], after[index])


def test_soft_capped_attention_is_refused():
    model = Gemma2ForCausalLM(Gemma2Config(**SIZES, num_key_value_heads=1, head_dim=8))
    model.set_attn_implementation(PACKED)
    with pytest.raises(NotImplementedError, match="soft-capped"):
        model(**pack([[1, 2, 3]]))
