"""A model spread over devices by accelerate: here all of them are the CPU, so that the hooks are there and the hops are not.

That layers on several GPUs hand their tensors on is accelerate's; what is ours, which goes around the model's own forward (the
body and the head apart, segments and slots as arguments, adapters, a head copied in float32), runs through its hooks here.
"""

from pathlib import Path

import pytest
import torch
from accelerate import dispatch_model
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model

from closerlook.config.settings import GenerateSettings
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED
from closerlook.generate.response import new_response
from closerlook.models.device import device
from closerlook.models.load import _max_memory, load_base
from closerlook.models.logits import Network
from closerlook.models.packed import PACKED, pack

PROMPTS = [[5, 6, 7], [9, 8, 7, 6, 5, 4, 3, 2], [11]]


def spread(model: torch.nn.Module) -> torch.nn.Module:
    """A model with accelerate's hooks on each layer, as a device_map adds them."""
    parts = ["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"]
    parts += [f"model.layers.{i}" for i in range(model.config.num_hidden_layers)]
    return dispatch_model(model, dict.fromkeys(parts, "cpu"), force_hooks=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tiny_model("llama"), tmp_path / "model", byte_tokenizer())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_passes_give_the_same_logits(folder: Path, dtype: torch.dtype) -> None:
    found = []
    for hooked in (False, True):
        model = load_base(folder, "cpu", dtype, PACKED)
        network = Network(spread(model) if hooked else model)
        network.check()
        with torch.inference_mode():
            found.append(network.logits(network.hidden(**pack(PROMPTS))))
    assert hasattr(network.causal, "_hf_hook")
    assert found[0].dtype == torch.float32
    assert torch.equal(*found)


def test_decoding_gives_the_same_tokens(folder: Path) -> None:
    answers = []
    for hooked in (False, True):
        model = load_base(folder, "cpu", torch.float32, RAGGED)
        network = Network(spread(model) if hooked else model)
        decoder = Decoder(network, byte_tokenizer(), GenerateSettings(max_new_tokens=12), 2)
        responses = [new_response(str(i), prompt, 256, 12) for i, prompt in enumerate(PROMPTS)]
        assert len(list(decoder.respond(responses))) == len(PROMPTS)
        answers.append([response.token_ids for response in responses])
    assert answers[0] == answers[1]
    assert any(answers[0])


def test_a_device_map_where_there_is_no_gpu(folder: Path) -> None:
    """The same call as on GPUs; all layers are placed on the CPU."""
    model = load_base(folder, "cpu", torch.float32, PACKED, gpus=4)
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    with torch.inference_mode():
        one, other = (Network(each) for each in (model, load_base(folder, "cpu", torch.float32, PACKED)))
        assert torch.equal(*(each.logits(each.hidden(**pack(PROMPTS))) for each in (one, other)))


def test_a_rank_has_gpus_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: (80 * 10**9, 80 * 10**9))
    assert device().index == 0
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device().index == 1
    assert device(4).index == 4
    assert _max_memory(device(4), 4) == dict.fromkeys((4, 5, 6, 7), 72 * 10**9)
