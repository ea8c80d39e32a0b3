"""The dtype that a model computes in: bfloat16 where the device multiplies it faster than float32."""

import torch

BFLOAT16 = ("amx_bf16", "avx512_bf16")
"""CPU instructions that multiply bfloat16. Without one of them, bfloat16 is slower than float32."""
SMALLEST_WIDTH = 512
"""Least hidden size for which a CPU gains: a step of narrower models is not mostly matrix products."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def dtype_name(dtype: torch.dtype) -> str:
    """The name of a dtype as settings and metadata spell it."""
    return str(dtype).removeprefix("torch.")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return True
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in BFLOAT16)


def fast_dtype(precision: str, device: torch.device, hidden_size: int) -> torch.dtype:
    """The dtype of training and generation. precision: float32, bfloat16, or auto, the faster one for a model of that width."""
    if precision != "auto":
        return DTYPES[precision]
    wide = device.type == "cuda" or hidden_size >= SMALLEST_WIDTH
    return torch.bfloat16 if wide and multiplies_bfloat16(device) else torch.float32


def exact_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of a model's body when distributions are compared: float32, bfloat16, or auto, bfloat16 on a GPU alone."""
    if precision != "auto":
        return DTYPES[precision]
    return torch.bfloat16 if device.type == "cuda" else torch.float32
