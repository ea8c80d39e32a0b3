"""The engine vLLM: many more responses at a time, on one GPU or several that share the model. Optional: closerlook[vllm]."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from closerlook.config.settings import GenerateSettings
from closerlook.core.versions import installed_version
from closerlook.generate.response import Ending, Response, end_tokens_of
from closerlook.generate.sampling import seed_of
from closerlook.models.device import device
from closerlook.models.precision import dtype_name

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM takes as the largest rank of an adapter."""


def vllm_obstacle(tuned: Path | None) -> str | None:
    """Why vLLM cannot run a tuned model here; None if it can."""
    if not installed_version("vllm"):
        return "vLLM is not installed: pip install 'closerlook[vllm]'"
    if not torch.cuda.is_available():
        return "there is no GPU here, which vLLM needs"
    adapter = _adapter(tuned)
    if adapter and (adapter.get("bias", "none") != "none" or adapter.get("modules_to_save") or adapter.get("use_dora")):
        return (
            f"vLLM cannot run the adapter in {tuned}, which changes more than it adds (biases, whole modules or DoRA)"
        )
    if adapter and (adapter.get("peft_type") != "LORA" or adapter.get("alpha_pattern") or adapter.get("rank_pattern")):
        return f"vLLM runs adapters of kind LORA with one rank and one alpha, and that in {tuned} is another"
    if adapter and adapter["r"] > RANKS[-1]:
        return f"vLLM takes adapters of rank {RANKS[-1]} at most, and that in {tuned} has {adapter['r']}"
    return None


class VllmEngine:
    """vLLM with one model. It starts when it is first asked, with a context that fits the responses."""

    def __init__(
        self,
        base: Path,
        tuned: Path | None,
        tokenizer: PreTrainedTokenizerBase,
        settings: GenerateSettings,
        dtype: torch.dtype,
        gpus: int,
    ) -> None:
        self.adapter, self.settings, self.dtype, self.gpus = _adapter(tuned), settings, dtype, gpus
        self.base, self.tuned = base, tuned
        self.model = base if self.adapter or tuned is None else tuned
        self._ending = Ending(
            tokenizer, settings.stop, end_tokens_of(_generation_config(self.model), tokenizer), "vLLM"
        )

    def respond(self, responses: Sequence[Response]) -> Iterator[Response]:
        """Complete every response in place, and yield each as it ends. Their ids are distinct."""
        from vllm import EngineArgs, LLMEngine, SamplingParams  # type: ignore[import-not-found, unused-ignore]
        from vllm.lora.request import LoRARequest  # type: ignore[import-not-found, unused-ignore]
        from vllm.sampling_params import RequestOutputKind  # type: ignore[import-not-found, unused-ignore]

        _prepare_environment(self.gpus)
        arguments = EngineArgs(
            model=str(self.model),
            tokenizer=str(self.base),
            dtype=dtype_name(self.dtype),
            tensor_parallel_size=self.gpus,
            max_model_len=max(len(response.prompt) + response.room for response in responses),
            seed=0,
            disable_log_stats=True,
            **({"enable_lora": True, "max_lora_rank": self._rank()} if self.adapter else {}),
        )
        engine = LLMEngine.from_engine_args(arguments)
        lora = LoRARequest("tuned", 1, str(self.tuned)) if self.adapter else None
        unfinished = {response.id: response for response in responses}
        for response in responses:
            parameters = SamplingParams(
                temperature=self.settings.temperature,
                top_p=self.settings.top_p,
                # vLLM takes 63 bits without a sign.
                seed=(seed_of(self.settings.seed, response.id) % 2**64) >> 1 if self.settings.temperature else None,
                max_tokens=response.room,
                stop=list(self.settings.stop),
                stop_token_ids=sorted(self._ending.end_tokens),
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            prompt = {"prompt_token_ids": response.prompt}
            engine.add_request(response.id, prompt, parameters, lora_request=lora)
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    yield self._ending.finish(unfinished.pop(output.request_id), output.outputs[0].token_ids)

    def _rank(self) -> int:
        return next(rank for rank in RANKS if rank >= self.adapter["r"])


def _adapter(tuned: Path | None) -> dict:
    """The configuration of a tuned model's adapter; empty if it has none."""
    file = tuned / "adapter_config.json" if tuned else None
    return json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else {}


def _generation_config(folder: Path) -> GenerationConfig | None:
    if not (folder / "generation_config.json").is_file():
        return None
    return GenerationConfig.from_pretrained(folder, local_files_only=True)


def _prepare_environment(gpus: int) -> None:
    """Set what the processes that vLLM starts inherit. Among several ranks, each has a vLLM and GPUs of its own."""
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"  # CUDA may be in use here, and does not survive a fork
    # torchrun's: vLLM's processes would wait for a server of theirs.
    os.environ.pop("TORCHELASTIC_USE_AGENT_STORE", None)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = seen.split(",") if seen else [str(number) for number in range(torch.cuda.device_count())]
        first = device(gpus).index or 0
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[first : first + gpus])
