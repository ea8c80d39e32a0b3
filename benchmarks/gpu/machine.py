"""The machine: its versions, what it can do at most, and which attention kernel torch takes."""

import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from closerlook.core.versions import installed_version
from closerlook.models.device import device_name
from closerlook.models.packed import pack, packed_attention
from closerlook.train.manifest import PACKAGES
from gpu.bench import Bench, random_tokens
from gpu.budget import Measurement, Result

HEADS, WIDTH = 16, 128


def versions(bench: Bench) -> Result:
    """What this ran on and with."""
    found = {name: installed_version(name) for name in (*PACKAGES, "trl", "vllm")}
    facts = {"device": device_name(bench.device), "python": platform.python_version(), "versions": found}
    facts |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "driver": None}
    if shutil.which("nvidia-smi") and bench.device.type == "cuda":
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm", "--format=csv,noheader"]
        facts["driver"] = subprocess.run(query, capture_output=True, text=True, timeout=30).stdout.strip()
    return facts


def ceilings(bench: Bench) -> Result:
    """Bytes per second of a copy, read and written, and operations per second of a bfloat16 matrix product."""
    side, size = bench.times(256, 8192), bench.times(1 << 20, 1 << 32)
    a, b = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.empty(size, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    found = bench.in_turn({"product": lambda: a @ b, "copy": lambda: target.copy_(source)}, bench.times(1, 10))
    return {
        "product_tflops": 2 * side**3 / found["product"]["seconds"] / 1e12,
        "copy_tb_per_second": 2 * size / found["copy"]["seconds"] / 1e12,
    }


@contextmanager
def _cudnn(enabled: bool) -> Iterator[None]:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(enabled)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def attention_kernels(bench: Bench) -> Result:
    """Attention of a layer, forward and backward, on micro-batches of ever new lengths: the first time, and again.

    With cuDNN torch builds a plan for each length; without it, it takes FlashAttention; closerlook on a GPU does all segments in
    one kernel (models.packed).
    """
    count = bench.times(2, 20)
    batches = [[length + 7 * i for length in (90, 130, 180, 260)] for i in range(count)]

    def run(one_kernel: bool, batches: list[list[int]]) -> None:
        for lengths in batches:
            inputs = pack(random_tokens(lengths, 100), bench.device)
            shape = (1, HEADS, sum(lengths), WIDTH)
            q, k, v = (
                torch.randn(shape, device=bench.device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)
            )
            boundaries = inputs["boundaries"] if one_kernel else None
            module = torch.nn.Identity()
            output, _ = packed_attention(module, q, k, v, None, segments=lengths, boundaries=boundaries)
            output.sum().backward()

    found: Result = {}
    for name, cudnn, one_kernel in (("cudnn", True, False), ("flash", False, False), ("one kernel", False, True)):
        with _cudnn(cudnn):
            run(one_kernel, [[64] * 4])  # loads the kernels
            found[name] = {
                f"{when}_ms": 1e3 * bench.seconds(lambda one=one_kernel: run(one, batches)) / count
                for when in ("first", "again")
            }
    return found


def group_attention(bench: Bench) -> Result:
    """Whether FlashAttention's kernels take fewer key heads than query heads, with and without a mask."""
    bench.need_cuda("a CPU has one kernel")
    q = torch.randn(1, 8, 256, 128, device=bench.device, dtype=torch.bfloat16)
    k = torch.randn(1, 2, 256, 128, device=bench.device, dtype=torch.bfloat16)
    mask = torch.ones(256, 256, dtype=torch.bool, device=bench.device).tril()
    found: Result = {}
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION):
        for name, options in (("causal", {"is_causal": True}), ("mask", {"attn_mask": mask})):
            try:
                with sdpa_kernel(backend):
                    torch.nn.functional.scaled_dot_product_attention(q, k, k, enable_gqa=True, **options)
                found[f"{backend.name.lower()}, {name}"] = True
            except RuntimeError:
                found[f"{backend.name.lower()}, {name}"] = False
    return found


MEASUREMENTS = [
    Measurement("versions", 5, versions),
    Measurement("ceilings", 5, ceilings),
    Measurement("attention kernels", 30, attention_kernels),
    Measurement("attention with grouped heads", 5, group_attention),
]
