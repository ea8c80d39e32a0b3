"""CUDA tensors without a GPU: they have shapes, dtypes and a device, but no numbers.

What is computed with them follows the device of every tensor, as on a GPU: one left on the CPU raises. So a test of a forward
pass sees where its tensors are, how many kernels it launches, and whether the program waits for the GPU. Which kernels, at what
speed, in how much memory and with which numbers, only a GPU shows. A backward pass is not possible, and autocast is off.
"""

import ctypes
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

# Indexing a CUDA tensor asks for a guard of its device, which torch for CPUs lacks. This one does nothing.
GUARD = """
#include <c10/core/impl/DeviceGuardImplInterface.h>
static c10::impl::DeviceGuardImplRegistrar registered(
    c10::DeviceType::CUDA, new c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA>());
"""
READS = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select", "unique_consecutive"}
"""Operations whose result the program must wait for: a number on the host, or a shape that depends on numbers."""
NO_KERNEL = {"_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
"""Operations that launch nothing, in addition to views and questions about a tensor (prim)."""


@pytest.fixture(scope="session")
def cuda_guard(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile and load the device guard; skip where there is no C++ compiler."""
    if torch.backends.cuda.is_built():
        return
    if not (compiler := shutil.which("c++")):
        pytest.skip("no C++ compiler (c++): on Debian, apt-get install g++")
    folder, root = tmp_path_factory.mktemp("guard"), Path(torch.__file__).parent
    (folder / "guard.cpp").write_text(GUARD)
    flags = ["-std=c++20", "-shared", "-fPIC", f"-I{root / 'include'}", f"-L{root / 'lib'}"]
    command = [compiler, *flags, str(folder / "guard.cpp"), "-o", str(folder / "guard.so"), "-lc10"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    ctypes.CDLL(str(folder / "guard.so"))


@pytest.fixture
def fake_cuda(cuda_guard: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The device of a GPU like an H100; tensors that are made during the test are fake ones."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield torch.device("cuda", 0)


def on_fake_cuda(build: Callable[[], PreTrainedModel], dtype: torch.dtype) -> PreTrainedModel:
    """The model that `build(dtype=...)` makes, of any size, with weights that are fake CUDA tensors."""
    with torch.device("cuda"):
        return build(dtype=dtype).eval()


class Counts(TorchDispatchMode):
    """Counts, while it is active, what a program does on `device`."""

    def __init__(self, device: str = "cuda") -> None:
        super().__init__()
        self.device = device
        self.launches: Counter[str] = Counter()
        """Operations on the device that launch at least one kernel, by name."""
        self.copies: Counter[str] = Counter()
        """Copies from the host to the device."""
        self.reads: Counter[str] = Counter()
        """Numbers of the device that the host waits for."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function._schema.name.split("::")[-1]
        devices = {leaf.device.type for leaf in tree_leaves((args, result)) if isinstance(leaf, Tensor)}
        if self.device not in devices:
            return result
        if name in READS:
            self.reads[name] += 1
        elif name in ("_to_copy", "copy_") and len(devices) == 2:
            target = args[0] if name == "copy_" else result
            (self.copies if target.device.type == self.device else self.reads)[name] += 1
        elif not function.is_view and name not in NO_KERNEL and function.namespace != "prim":
            self.launches[name] += 1
        return result
