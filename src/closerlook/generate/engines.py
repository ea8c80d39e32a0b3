"""Engines: what completes responses, from the tokens of their prompts to new tokens. All end a response by the same rules.

closerlook's own decoding loop is the reference, and what a CPU uses: in float32 its tokens do not depend on the batch there. vLLM
is faster on a GPU; transformers' continuous batching is there for models that neither runs.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedTokenizerBase

import closerlook
from closerlook.config.catalog import EngineName
from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.versions import installed_version
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED
from closerlook.generate.response import Response
from closerlook.generate.transformers_engine import TransformersEngine
from closerlook.generate.vllm_engine import VllmEngine, vllm_obstacle
from closerlook.models.device import device
from closerlook.models.load import load_base, load_tuned
from closerlook.models.logits import Network

Engine = Callable[[Sequence[Response]], Iterator[Response]]
"""Completes responses in place, whose ids are distinct, and yields each as it ends."""


def choose_engine(name: EngineName, tuned: Path | None) -> EngineName:
    """The engine that answers: for auto, vLLM where it is installed, has a GPU and can run the model, else closerlook.

    Raises CloserlookError for vllm where it cannot.
    """
    obstacle = vllm_obstacle(tuned) if name in ("auto", "vllm") else None
    if name == "vllm" and obstacle:
        raise CloserlookError(f"--engine: found vllm, but {obstacle}; expected auto, closerlook or transformers")
    if name == "auto":
        return "closerlook" if obstacle else "vllm"
    return name


def engine_version(name: EngineName) -> str:
    """The version of an engine."""
    versions = {"closerlook": closerlook.__version__, "transformers": transformers.__version__}
    return versions.get(name) or installed_version(name) or "unknown"


def open_engine(
    name: EngineName,
    base: Path,
    tuned: Path | None,
    tokenizer: PreTrainedTokenizerBase,
    settings: GenerateSettings,
    dtype: torch.dtype,
    gpus: int,
    batch_size: int,
) -> Engine:
    """An engine, not auto, for the model in `base` or the cell in `tuned` (full weights, or an adapter, which is not merged).

    gpus: how many hold the model. batch_size: responses at a time; vLLM finds its own.
    """
    if name == "vllm":
        return VllmEngine(base, tuned, tokenizer, settings, dtype, gpus).respond
    target, attention = device(gpus), RAGGED if name == "closerlook" else "sdpa"
    model = (
        load_tuned(base, tuned, target, dtype, attention, gpus)
        if tuned
        else load_base(base, target, dtype, attention, gpus)
    )
    if name == "transformers":
        return TransformersEngine(model, tokenizer, settings, batch_size).respond
    network = Network(model)
    network.check()
    return Decoder(network, tokenizer, settings, batch_size).respond
