"""Load models and tokenizers from folders: safetensors only, without running code from the folder."""

from pathlib import Path
from typing import Any

import psutil
import torch
from peft import PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations import is_deepspeed_zero3_enabled

import closerlook.models.packed  # noqa: F401  (registers PACKED, so that every model can be loaded with it)
from closerlook.core.errors import CloserlookError


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder. Raises CloserlookError if there is none or it has no end-of-sequence token."""
    _check_folder(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CloserlookError(f"{folder}: no tokenizer can be read from it: {error}") from error
    if tokenizer.eos_token_id is None:
        raise CloserlookError(
            f"{folder}: the tokenizer has no eos_token, so no model could learn or show where a response ends"
        )
    return tokenizer


def text_config(folder: Path) -> PreTrainedConfig:
    """The configuration of the language model in a folder."""
    return AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()


def context_length(config: PreTrainedConfig) -> int:
    """The most tokens of prompt and response that a model of this configuration takes."""
    return getattr(config, "max_position_embeddings", None) or 1 << 40


def load_base(
    folder: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
    gpus: int = 1,
) -> PreTrainedModel:
    """The causal language model in a folder, in evaluation mode. Its device becomes the current one.

    attention: sdpa, eager or PACKED (models.packed). gpus: number of GPUs, from `device` on, to spread the layers over
    (accelerate's device_map); above 1 for inference only.
    """
    _check_folder(folder)
    # cuDNN's attention builds a plan for every new shape, which takes up to a second, and packed sequences and growing caches
    # have ever new shapes. torch prefers it on Hopper and Blackwell; without it, it takes FlashAttention.
    torch.backends.cuda.enable_cudnn_sdp(False)
    target = torch.device(device)
    if target.type == "cuda":
        # peft loads onto the current device; using another one too costs memory.
        torch.cuda.set_device(target.index or 0)
    placement: dict[str, Any] = {}
    if gpus > 1:
        placement = {"device_map": "auto", "max_memory": _max_memory(target, gpus)}
    elif target.type == "cuda" and not is_deepspeed_zero3_enabled():  # ZeRO-3 divides the weights while they load
        placement = {"device_map": {"": target}}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=attention, use_safetensors=True, local_files_only=True, **placement
        )
    except (OSError, ValueError) as error:
        raise CloserlookError(
            f"{folder}: no causal language model in safetensors can be read from it: {error}"
        ) from error
    return (model if placement else model.to(target)).eval()  # type: ignore[arg-type]


def _max_memory(first: torch.device, gpus: int) -> dict[int | str, int]:
    """Bytes for a model on each GPU: its free memory less a tenth for activations. Without a GPU, the CPU's."""
    if first.type != "cuda":
        return {"cpu": psutil.virtual_memory().available}
    start = first.index or 0
    return {gpu: int(0.9 * torch.cuda.mem_get_info(gpu)[0]) for gpu in range(start, start + gpus)}


def load_tuned(
    base_folder: Path,
    tuned_folder: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
    gpus: int = 1,
) -> PreTrainedModel | PeftModel:
    """The tuned model of a cell, in evaluation mode: full weights, or an adapter (adapter_config.json) on its base, not merged.

    Arguments as for load_base.
    """
    _check_folder(tuned_folder)
    if not (Path(tuned_folder) / "adapter_config.json").is_file():
        return load_base(tuned_folder, device, dtype, attention, gpus)
    base = load_base(base_folder, device, dtype, attention, gpus)
    tuned = PeftModel.from_pretrained(base, str(tuned_folder))
    return (tuned if gpus > 1 else tuned.to(device)).eval()


def _check_folder(folder: Path) -> None:
    folder = Path(folder)
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ["no such folder"]
        found = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") or "an empty folder"
        raise CloserlookError(f"{folder}: expected a model folder with a config.json, found {found}")
