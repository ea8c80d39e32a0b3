"""A module `vllm` with the names and signatures of vLLM 0.30, whose tokens are given beforehand: vLLM itself needs a GPU."""

import random
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from closerlook.core import versions

VERSION = "0.30.0"


@dataclass
class EngineArgs:
    """Those of vLLM's that the adapter may use; any other is a TypeError."""

    model: str
    tokenizer: str | None = None
    dtype: str = "auto"
    seed: int = 0
    max_model_len: int | None = None
    tensor_parallel_size: int = 1
    disable_log_stats: bool = False
    enable_lora: bool = False
    max_lora_rank: int = 16


@dataclass
class SamplingParams:
    """As EngineArgs."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int | None = 16
    output_kind: str = "cumulative"


@dataclass(frozen=True)
class LoRARequest:
    """An adapter that a request uses."""

    lora_name: str
    lora_int_id: int
    lora_path: str = ""


@dataclass
class PretendedVllm:
    """What was asked of it. tokens_of: the tokens that a prompt is answered with, the end token among them."""

    tokens_of: Callable[[list[int]], list[int]]
    started: list[EngineArgs] = field(default_factory=list)
    requests: dict[str, tuple[SamplingParams, LoRARequest | None]] = field(default_factory=dict)
    dies_after: int = 1 << 30
    """Responses after which it raises."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it the module that `import vllm` finds, on a machine that seems to have eight GPUs."""
        pretended = self

        class LLMEngine:
            def __init__(self) -> None:
                self.waiting: list[tuple[str, list[int]]] = []
                self.done = 0

            @classmethod
            def from_engine_args(cls, engine_args: EngineArgs) -> "LLMEngine":
                pretended.started.append(engine_args)
                return cls()

            def add_request(
                self,
                request_id: str,
                prompt: dict[str, Any],
                params: SamplingParams,
                arrival_time: float | None = None,
                lora_request: LoRARequest | None = None,
            ) -> str:
                args = pretended.started[-1]
                assert isinstance(request_id, str)
                assert args.max_model_len is not None
                assert params.max_tokens is not None
                assert len(prompt["prompt_token_ids"]) + params.max_tokens <= args.max_model_len
                assert args.enable_lora or lora_request is None
                pretended.requests[request_id] = params, lora_request
                self.waiting.append((request_id, pretended.tokens_of(prompt["prompt_token_ids"])[: params.max_tokens]))
                random.Random(len(self.waiting)).shuffle(self.waiting)
                return f"{request_id}-internal"

            def has_unfinished_requests(self) -> bool:
                return bool(self.waiting)

            def step(self) -> list[SimpleNamespace]:
                if self.done == pretended.dies_after:
                    raise KeyboardInterrupt
                request_id, tokens = self.waiting.pop()
                self.done += 1
                running = [SimpleNamespace(request_id=name, finished=False, outputs=[]) for name, _ in self.waiting[:2]]
                output = SimpleNamespace(index=0, token_ids=tuple(tokens), text="", finish_reason="stop")
                return [*running, SimpleNamespace(request_id=request_id, finished=True, outputs=[output])]

        modules = {name: types.ModuleType(name) for name in ("vllm", "vllm.lora.request", "vllm.sampling_params")}
        modules["vllm"].__dict__.update(EngineArgs=EngineArgs, LLMEngine=LLMEngine, SamplingParams=SamplingParams)
        modules["vllm.lora.request"].__dict__.update(LoRARequest=LoRARequest)
        modules["vllm.sampling_params"].__dict__.update(RequestOutputKind=SimpleNamespace(FINAL_ONLY="final"))
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "fork")  # the adapter changes it; restored after the test
        monkeypatch.setattr(versions, "version", lambda name: VERSION)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "a GPU")
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
