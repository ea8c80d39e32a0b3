"""Load models and tokenizers from folders: safetensors only, without running code from the folder."""

import os
from pathlib import Path

import psutil
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

import closerlook.models.packed  # noqa: F401  (registers PACKED, so that every model can be loaded with it)
from closerlook.core.errors import CloserlookError


def device(gpus: int = 1) -> torch.device:
    """The device of this process: the CPU, or the first of its GPUs, by LOCAL_RANK. gpus: number of GPUs per process."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) * gpus % torch.cuda.device_count())


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


def load_base(
    folder: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    attention: str = "sdpa",
    gpus: int = 1,
) -> PreTrainedModel:
    """The causal language model in a folder, in evaluation mode.

    attention: sdpa, eager or PACKED (models.packed). gpus: number of GPUs, from `device` on, to spread the layers over
    (accelerate's device_map); above 1 for inference only.
    """
    _check_folder(folder)
    spread = {"device_map": "auto", "max_memory": _max_memory(torch.device(device), gpus)} if gpus > 1 else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=attention, use_safetensors=True, local_files_only=True, **spread
        )
    except (OSError, ValueError) as error:
        raise CloserlookError(
            f"{folder}: no causal language model in safetensors can be read from it: {error}"
        ) from error
    return (model if spread else model.to(device)).eval()  # type: ignore[arg-type]


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
