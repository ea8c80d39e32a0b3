"""Packed attention as a GPU does it: on fake CUDA tensors, and its one call against references that run on the CPU."""

from functools import partial

import pytest
import torch
from tests.support.fake_cuda import Counts, on_fake_cuda
from tests.support.tiny_models import ARCHITECTURES, saved, tiny_model
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.masking_utils import sliding_window_causal_mask_function

from closerlook.models import packed
from closerlook.models.load import load_base
from closerlook.models.packed import PACKED, pack, packed_attention

LENGTHS = [1, 3, 4, 5, 7, 20]
"""Around the windows of 4 and 5 in the tests below."""
LLAMA_7B = LlamaConfig(hidden_size=4096, intermediate_size=11008, num_hidden_layers=8, num_attention_heads=32)
GEMMA = Gemma3TextConfig(
    vocab_size=262144,
    hidden_size=640,
    intermediate_size=2048,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=1,
    head_dim=256,
    sliding_window=512,
)
SIZES = {"hidden_size": 1024, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8}
FULL_SIZE = {
    "llama": partial(LlamaForCausalLM._from_config, LLAMA_7B, attn_implementation=PACKED),
    "gemma3": partial(Gemma3ForCausalLM._from_config, GEMMA, attn_implementation=PACKED),
    "mistral": partial(
        MistralForCausalLM._from_config,
        MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=512),
        attn_implementation=PACKED,
    ),
    "qwen3": partial(
        Qwen3ForCausalLM._from_config,
        Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=64),
        attn_implementation=PACKED,
    ),
}
LAUNCHES_PER_LAYER = {"llama": 41, "gemma3": 88, "mistral": 43, "qwen3": 59}
"""Normalizations, rotary embedding, matrices, activation, casts, attention; and a share of what is outside the layers."""


@pytest.mark.parametrize("name", FULL_SIZE)
def test_forward_pass_on_a_gpu(name, fake_cuda):
    """All segments are one kernel, the host waits for nothing, and the number of segments changes no number of launches."""
    model = on_fake_cuda(FULL_SIZE[name], torch.bfloat16)
    launches = set()
    for lengths in ([900], [100, 3, 700], [7] * 40):
        inputs = pack([[1] * length for length in lengths], fake_cuda)
        with torch.no_grad(), Counts() as counts:
            logits = model(**inputs, logits_to_keep=1).logits
        assert (logits.device, logits.dtype) == (fake_cuda, torch.bfloat16)
        assert logits.shape == (1, 1, model.config.vocab_size)
        assert not counts.reads
        assert not counts.copies
        assert counts.launches["_varlen_attn"] == model.config.num_hidden_layers
        launches.add(counts.launches.total())
    assert len(launches) == 1
    assert launches.pop() <= LAUNCHES_PER_LAYER[name] * model.config.num_hidden_layers


def test_pack_copies_each_input_once(fake_cuda):
    with Counts() as counts:
        inputs = pack([[1, 2, 3], [4, 5]], fake_cuda)
    assert counts.copies.total() == 3
    assert not counts.reads
    assert {value.device for value in inputs.values() if isinstance(value, torch.Tensor)} == {fake_cuda}


@pytest.mark.parametrize(
    ("dtype", "width", "capability", "dropout", "kernel"),
    [
        (torch.bfloat16, 64, (8, 0), 0.0, True),
        (torch.float16, 256, (9, 0), 0.0, True),
        (torch.float32, 64, (9, 0), 0.0, False),
        (torch.bfloat16, 264, (9, 0), 0.0, False),
        (torch.bfloat16, 60, (9, 0), 0.0, False),
        (torch.bfloat16, 64, (7, 5), 0.0, False),
        (torch.bfloat16, 64, (9, 0), 0.1, False),
    ],
)
def test_the_kernel_is_used_where_it_can(dtype, width, capability, dropout, kernel, fake_cuda, monkeypatch):
    """Elsewhere segments are done one by one, also on a GPU."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    query, key = (torch.empty(1, heads, 30, width, dtype=dtype, device=fake_cuda) for heads in (4, 2))
    inputs = pack([[1] * 10, [1] * 20], fake_cuda)
    options = {"segments": inputs["segments"], "boundaries": inputs["boundaries"], "sliding_window": 16}
    with Counts() as counts:
        output, _ = packed_attention(torch.nn.Module(), query, key, key, None, dropout=dropout, **options)
    assert bool(counts.launches["_varlen_attn"]) == kernel
    assert (output.shape, output.dtype, output.device) == ((1, 30, 4, width), dtype, fake_cuda)
    assert not counts.reads


def test_a_key_head_per_head_where_segments_are_done_one_by_one(fake_cuda, monkeypatch):
    """With fewer key heads, in float32 or under a mask, a GPU would hold the scores of all pairs of tokens in memory."""
    seen = []

    def record(query, key, value, **options):
        seen.append((query.shape[1] == key.shape[1], options["attn_mask"] is not None, options["enable_gqa"]))
        return scaled_dot_product_attention(query, key, value, **options)

    monkeypatch.setattr(packed, "scaled_dot_product_attention", record)
    query, key = (torch.randn(1, heads, 30, 16, device=fake_cuda) for heads in (4, 2))
    packed_attention(torch.nn.Module(), query, key, key, None, segments=[10, 20], sliding_window=16)
    assert seen == [(True, False, False), (True, True, False)]


def varlen_reference(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa):
    """What torch documents of varlen_attn, in plain arithmetic, for the arguments of a GPU's kernel."""
    assert query.dtype == key.dtype == value.dtype
    assert {tensor.stride(-1) for tensor in (query, key, value)} == {1}
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert cu_seq_q[-1] == len(query) == len(key) == len(value)
    assert enable_gqa == (query.shape[1] != key.shape[1])
    assert isinstance(max_q, int)
    assert max_q == max_k == cu_seq_q.diff().max()
    key, value = (tensor.repeat_interleave(query.shape[1] // tensor.shape[1], dim=1) for tensor in (key, value))
    sequence = torch.bucketize(torch.arange(len(query)), cu_seq_q[1:], right=True)
    distance = torch.arange(len(query))[:, None] - torch.arange(len(query))
    left, right = window_size
    seen = (sequence[:, None] == sequence) & (distance >= -right)
    if left >= 0:
        seen &= distance <= left
    scores = torch.einsum("qhd,khd->hqk", query, key) * scale
    weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, value)


def expected_attention(query, key, value, segments, scale, window):
    """With transformers' own definition of a sliding window, each segment by itself."""
    outputs = []
    for q, k, v in zip(*(tensor.split(segments, dim=2) for tensor in (query, key, value)), strict=True):
        sees = sliding_window_causal_mask_function(window or 1 << 20)
        positions = torch.arange(q.shape[2])
        mask = sees(0, 0, positions[:, None], positions)
        k, v = (tensor.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for tensor in (k, v))
        outputs.append(scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale))
    return torch.cat(outputs, dim=2).transpose(1, 2)


@pytest.mark.parametrize("window", [None, 1, 4, 5, 19, 20, 100])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_the_kernel_is_asked_for_the_same_attention(window, key_heads, monkeypatch):
    """One kernel, segment by segment, and transformers' own mask agree, in outputs and gradients."""
    monkeypatch.setattr(packed, "varlen_attn", varlen_reference)
    generator = torch.Generator().manual_seed(0)
    shape = (sum(LENGTHS), 8)
    query, key, value = (
        torch.randn(1, heads, *shape, dtype=torch.float64, generator=generator).requires_grad_()
        for heads in (4, key_heads, key_heads)
    )
    inputs = pack([[1] * length for length in LENGTHS])
    found = []
    for possible in (True, False):
        monkeypatch.setattr(packed, "_flash_supports", lambda *_, possible=possible: possible)
        options = {"segments": inputs["segments"], "boundaries": inputs["boundaries"]}
        output, _ = packed_attention(
            torch.nn.Module(), query, key, value, None, scaling=0.3, sliding_window=window, **options
        )
        found.append([output, *torch.autograd.grad(output.square().sum(), (query, key, value))])
    expected = expected_attention(query, key, value, LENGTHS, 0.3, window)
    for one in found:
        torch.testing.assert_close(one[0], expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(one[1:], found[0][1:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_whole_model_gives_the_same_logits_through_the_kernel(architecture, monkeypatch):
    model = tiny_model(architecture).double()
    model.set_attn_implementation(PACKED)
    inputs = pack([[(3 * i + length) % 40 for i in range(length)] for length in LENGTHS])
    one_by_one = model(**inputs).logits
    monkeypatch.setattr(packed, "varlen_attn", varlen_reference)
    monkeypatch.setattr(packed, "_flash_supports", lambda *_: True)
    torch.testing.assert_close(model(**inputs).logits, one_by_one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_number_is_read_in_a_pass(architecture):
    """On the CPU a read costs nothing; on a GPU the program would wait for it in every pass."""
    model = tiny_model(architecture)
    model.set_attn_implementation(PACKED)
    inputs = pack([[1, 2, 3], [4, 5, 6, 7]])
    with torch.no_grad(), Counts("cpu") as counts:
        model(**inputs)
    assert counts.launches
    assert not counts.reads


def test_models_are_loaded_without_attention_that_plans_every_shape(tmp_path):
    torch.backends.cuda.enable_cudnn_sdp(True)
    load_base(saved(tiny_model(), tmp_path))
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()
