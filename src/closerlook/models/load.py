"""Models and tokenizers from the folders that the models and train stages write: safetensors only, no code in them."""

import os
from pathlib import Path

import psutil
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

import closerlook.models.packed  # noqa: F401  (registers PACKED, so that every model can be loaded with it)
from closerlook.core.errors import CloserlookError


def device(gpus: int = 1) -> torch.device:
    """The device of this process: the CPU, or its own GPU (LOCAL_RANK's, or the only one that Slurm shows it).

    Of a process with several `gpus`, their first: it takes inputs and gives outputs.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) * gpus % torch.cuda.device_count())


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`. Raises CloserlookError when there is none or it has no end-of-sequence token."""
    folder = _existing(folder)
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
    """The causal language model in `folder`, in evaluation mode. `attention`: sdpa, eager or PACKED (models.packed).

    gpus: above 1, it is spread over so many GPUs from `device` on, layer by layer (accelerate's device_map), for inference alone.
    """
    folder = _existing(folder)
    spread = {"device_map": "auto", "max_memory": _room(torch.device(device), gpus)} if gpus > 1 else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation=attention, use_safetensors=True, local_files_only=True, **spread
        )
    except (OSError, ValueError) as error:
        raise CloserlookError(
            f"{folder}: no causal language model in safetensors can be read from it: {error}"
        ) from error
    return (model if spread else model.to(device)).eval()  # type: ignore[arg-type]


def _room(first: torch.device, gpus: int) -> dict[int | str, int]:
    """Bytes that a model may fill on each of so many GPUs, less a tenth for activations; without a GPU, those of the CPU."""
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
    """The tuned model of a cell, in evaluation mode: full weights, or (adapter_config.json) an adapter on its base.

    An adapter stays apart: `with model.disable_adapter():` is the base, `model.merge_and_unload()` generates faster.
    """
    if not (_existing(tuned_folder) / "adapter_config.json").is_file():
        return load_base(tuned_folder, device, dtype, attention, gpus)
    base = load_base(base_folder, device, dtype, attention, gpus)
    tuned = PeftModel.from_pretrained(base, str(tuned_folder))
    return (tuned if gpus > 1 else tuned.to(device)).eval()


def _existing(folder: Path) -> Path:
    folder = Path(folder)
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        raise CloserlookError(f"{folder}: expected a model folder with a config.json, found {_found(folder)}")
    return folder


def _found(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "an empty folder"
