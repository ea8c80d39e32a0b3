"""A decoding step waits for the device once: tensors of the device "meta" have no values, so reading one raises."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tests.support.tiny_models import ARCHITECTURES, byte_tokenizer, tiny_model
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from closerlook.config.settings import GenerateSettings
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED, RaggedKVCache
from closerlook.generate.response import Response, new_response
from closerlook.models.logits import Network

PROMPTS = [[0, 5, 6], [0, 7], [0, *range(20, 60)]]


class Copies(TorchDispatchMode):
    """Counts the copies of tensors from the CPU to the device; what torch.tensor makes there is none."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        name = func.overloadpacket.__name__
        if name in ("to", "_to_copy", "copy_") and result.device.type != "cpu":
            self.count += args[name == "copy_"].device.type == "cpu"
        return result


class Reads(TorchFunctionMode):
    """Counts the reads of a tensor's values by Python."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += getattr(func, "__name__", "") in ("tolist", "item", "__bool__", "__int__", "__float__", "numpy")
        return func(*args, **kwargs or {})


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def decoder_of(architecture: str, device: str, **settings: Any) -> Decoder:
    model = tiny_model(architecture).to(device)
    model.set_attn_implementation(RAGGED)
    return Decoder(Network(model), byte_tokenizer(), GenerateSettings(max_new_tokens=9, **settings), 3)


def made() -> list[Response]:
    return [new_response(str(number), prompt, 256, 9) for number, prompt in enumerate(PROMPTS)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_model_reads_no_value_and_copies_no_tensor_per_layer(architecture: str) -> None:
    decoder, cache = decoder_of(architecture, "meta"), RaggedKVCache(3)
    responses = made()
    with Copies() as copies:
        decoder._read(responses, cache)
    assert copies.count == 4, "tokens, positions, where prompts start, and where they end"
    for response in responses:
        response.token_ids.append(5)
    with Copies() as copies:
        decoder._step(responses, cache)
    assert copies.count == 0


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_the_next_tokens_are_read_once(temperature: float) -> None:
    decoder = decoder_of("llama", "cpu", temperature=temperature)
    responses = made()
    hidden = decoder._read(responses, RaggedKVCache(3))
    with Reads() as reads:
        decoder._extend(responses, hidden)
    assert reads.count == 1
    assert all(len(response.token_ids) == 1 or response.finish_reason for response in responses)


def test_layers_on_several_devices_share_the_positions() -> None:
    cache = RaggedKVCache(2)
    cache.add_prompts([3, 5])
    cache.advance(torch.device("cpu"))
    key = torch.zeros(2, 1, 1, 4)
    with Copies() as copies:
        for layer in range(4):
            cache.append(layer, key, key)
        for layer in range(4, 8):
            cache.append(layer, key.to("meta", copy=True), key.to("meta", copy=True))
            assert cache.mask(2, Tensor.to(key, "meta")).device.type == "meta"
    assert copies.count == 1 + 3 * 4, "one, and the twelve of this test itself"
