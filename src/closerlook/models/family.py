"""A base model and models tuned from it, one after another: the base and its adapters share one load."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from peft import PeftModel

from closerlook.models.load import load_base, load_tuned
from closerlook.models.logits import Network


class Family:
    """The base model in a folder, and the models tuned from it. A model is loaded when it is first needed.

    Full weights, and adapters that change more than they add, are loaded alone, and stay until another model is needed.
    """

    def __init__(self, base: Path, tuned: Sequence[Path], device: torch.device, attention: str, gpus: int = 1) -> None:
        self.base, self._how = base, (device, attention, gpus)
        self._adapters = [folder for folder in tuned if _only_adds(folder)]
        self._loaded: tuple[object, Network] | None = None

    @contextmanager
    def network(self, tuned: Path | None, dtype: torch.dtype) -> Iterator[Network]:
        """The base model, or a tuned one, in a dtype; its weights are other ones after the context."""
        shared = tuned is None or tuned in self._adapters
        network = self._load(None if shared else tuned, dtype)
        model = network.model
        if tuned is not None and shared:
            assert isinstance(model, PeftModel)
            model.set_adapter(_name(self._adapters.index(tuned)))
        with model.disable_adapter() if tuned is None and isinstance(model, PeftModel) else nullcontext():
            yield network

    def _load(self, alone: Path | None, dtype: torch.dtype) -> Network:
        if self._loaded is None or self._loaded[0] != (alone, dtype):
            self._loaded = None  # its memory is needed
            device, attention, gpus = self._how
            model = (
                load_tuned(self.base, alone, device, dtype, attention, gpus)
                if alone
                else load_base(self.base, device, dtype, attention, gpus)
            )
            for number, folder in enumerate([] if alone else self._adapters):
                if number == 0:
                    model = PeftModel.from_pretrained(model, str(folder), adapter_name=_name(0))
                else:
                    model.load_adapter(str(folder), adapter_name=_name(number))
            if gpus == 1:
                model.to(device)  # type: ignore[arg-type]
            network = Network(model.eval())
            network.check()
            self._loaded = (alone, dtype), network
        return self._loaded[1]


def _name(number: int) -> str:
    return f"adapter{number}"


def _only_adds(folder: Path) -> bool:
    """Whether a folder has an adapter without which its model is the base model: LoRA without biases or modules of its own."""
    file = folder / "adapter_config.json"
    if not file.is_file():
        return False
    config = json.loads(file.read_text(encoding="utf-8"))
    changes = config.get("modules_to_save") or config.get("trainable_token_indices")
    return config.get("peft_type") == "LORA" and config.get("bias", "none") == "none" and not changes
