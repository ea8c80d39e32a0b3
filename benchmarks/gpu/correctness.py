"""Correctness on the device, against the same weights in float64 on the CPU by the plainest code there is."""

import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from closerlook.config.settings import GenerateSettings, TrainSettings
from closerlook.core.errors import failure_reason
from closerlook.generate.decoding import Decoder
from closerlook.generate.ragged_cache import RAGGED
from closerlook.generate.response import new_response
from closerlook.models.logits import Network
from closerlook.models.packed import PACKED, pack
from closerlook.shift.divergence import compare_distributions
from closerlook.train.batches import Instance, MicroBatch, micro_batch
from closerlook.train.distributed import Distributed
from closerlook.train.loss import HeadLoss
from closerlook.train.parallel import DataParallel
from closerlook.train.setup import build_optimizer
from common import NoText
from gpu.bench import Bench, random_tokens
from gpu.budget import Measurement, Result

LIMITS = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""Largest relative error, by norm. The reference has the weights in the same rounding."""
VOCABULARY = 512
LENGTHS = [37, 1, 60, 23]
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {"num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 128},
    "gemma3_text": {
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
}
"""Grouped heads of 128, and Gemma's of 256 with a window, which are shorter than some of the sequences."""


def make_model(family: str, dtype: torch.dtype) -> PreTrainedModel:
    """A small model on the CPU in float64, whose weights are numbers of `dtype`."""
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 256, "intermediate_size": 384, "num_attention_heads": 4}
    sizes |= {"initializer_range": 0.08, "eos_token_id": None, "pad_token_id": 0}
    config = AutoConfig.for_model(family, **sizes | SHAPES[family])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    return cast(cast(model, dtype), torch.float64)


def cast(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its parameters in `dtype`; the frequencies of positions, which are no parameters, stay float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def on_device(bench: Bench, model: PreTrainedModel, dtype: torch.dtype, attention: str) -> PreTrainedModel:
    """A copy of the model as closerlook runs it."""
    copy = cast(deepcopy(model), dtype).to(bench.device)
    copy.set_attn_implementation(attention)
    return copy


def error(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference over that of what is expected."""
    return ((found.detach().cpu().double() - expected.detach()).norm() / expected.detach().norm()).item()


def judged(errors: dict[str, float], limits: dict[str, float]) -> Result:
    """A result with whether every error is within its limit; one that is not a number is not."""
    return {"errors": errors, "limits": limits, "passed": all(errors[name] <= limits[name] for name in errors)}


def by_family_and_dtype(measure: Callable[[str, torch.dtype], float]) -> Result:
    """The error of each family in each dtype."""
    cases = {f"{family}, {dtype}".replace("torch.", ""): (family, dtype) for family in SHAPES for dtype in LIMITS}
    errors = {name: measure(*case) for name, case in cases.items()}
    return judged(errors, {name: LIMITS[dtype] for name, (_, dtype) in cases.items()})


def packed_is_separate(bench: Bench) -> Result:
    """Logits of packed sequences are those of each sequence alone."""
    sequences = random_tokens(LENGTHS, VOCABULARY)

    @torch.no_grad()
    def measure(family: str, dtype: torch.dtype) -> float:
        model = make_model(family, dtype)
        expected = torch.cat([model(torch.tensor([sequence])).logits[0] for sequence in sequences])
        return error(
            on_device(bench, model, dtype, PACKED)(**pack(sequences, bench.device)).logits[0].float(), expected
        )

    return by_family_and_dtype(measure)


def batch_of(bench: Bench) -> MicroBatch:
    """Sequences whose second half is trained."""
    sequences = [
        Instance(torch.tensor(tokens).numpy(), 1 + len(tokens) // 2) for tokens in random_tokens([37, 60, 23], VOCABULARY)
    ]  # fmt: skip
    return micro_batch(sequences, list(range(len(sequences))), 0, bench.device)


def loss_and_gradients(bench: Bench) -> Result:
    """The loss of packed sequences and the gradients of all weights; the larger of both errors."""
    batch = batch_of(bench)

    def measure(family: str, dtype: torch.dtype) -> float:
        model = make_model(family, dtype)
        ours = on_device(bench, model, dtype, PACKED)
        ids, starts = batch.inputs["input_ids"][0].cpu(), batch.inputs["boundaries"].tolist()
        logits = torch.cat([model(ids[None, a:b]).logits[0] for a, b in itertools.pairwise(starts)])
        expected = cross_entropy(logits[batch.inputs["logits_to_keep"].cpu()], batch.targets.cpu(), reduction="sum")
        expected.backward()
        loss = HeadLoss(ours)(ours, batch.inputs, batch.targets)
        loss.backward()
        gradients, wanted = (
            torch.cat([p.grad.flatten().cpu().double() for p in one.parameters() if p.grad is not None])
            for one in (ours, model)
        )
        return max(error(loss, expected), error(gradients, wanted))

    return by_family_and_dtype(measure)


def decoding_is_teacher_forced(bench: Bench) -> Result:
    """Each token that was decoded, in a batch whose rows end and begin, is the most likely one when all is read at once.

    The error is how much less likely it is by its logit, relative to the largest logit.
    """
    prompts, new = random_tokens([11, 40, 3, 25, 18, 30], VOCABULARY), 12

    def measure(family: str, dtype: torch.dtype) -> float:
        model = make_model(family, dtype)
        network = Network(on_device(bench, model, dtype, RAGGED))
        decoder = Decoder(network, NoText(), GenerateSettings(max_new_tokens=new), 4)
        asked = [new_response(str(n), prompt, 1 << 40, new - n) for n, prompt in enumerate(prompts)]
        worst = 0.0
        for response in decoder.respond(asked):
            with torch.no_grad():
                logits = model(torch.tensor([response.prompt + response.token_ids[:-1]])).logits[0]
            logits = logits[len(response.prompt) - 1 :]
            chosen = logits.gather(1, torch.tensor(response.token_ids)[:, None])[:, 0]
            worst = max(worst, ((logits.amax(1) - chosen) / logits.abs().max()).max().item())
        return worst

    return by_family_and_dtype(measure)


def divergences(bench: Bench) -> Result:
    """The statistics of shift, on logits of a vocabulary of 262k."""
    torch.manual_seed(0)
    base = torch.randn(8, bench.times(4096, 262144)) * 3
    tuned = base + torch.randn_like(base)
    found = compare_distributions(base.to(bench.device), tuned.to(bench.device))
    p, q = base.double().log_softmax(-1), tuned.double().log_softmax(-1)
    token = tuned.argmax(-1, keepdim=True)
    expected = {
        "kl_base_tuned": (p.exp() * (p - q)).sum(-1),
        "kl_tuned_base": (q.exp() * (q - p)).sum(-1),
        "base_prob": p.exp().gather(-1, token)[:, 0],
        "tuned_prob": q.exp().gather(-1, token)[:, 0],
        "base_rank": 1.0 + (base > base.gather(-1, token)).sum(-1).double(),
    }
    errors = {name: error(found[name], value) for name, value in expected.items()}
    return judged(errors, {name: 0.0 if name == "base_rank" else LIMITS[torch.float32] for name in errors})


def out_of_memory(bench: Bench) -> Result:
    """What a device says when it has no memory left is known as that, so that the job is tried again with smaller batches."""
    try:
        torch.empty(1 << 50, dtype=torch.uint8, device=bench.device)
    except RuntimeError as raised:
        reason = failure_reason(raised)
        return {"type": type(raised).__name__, "reason": reason, "passed": reason == "out of memory"}
    return {"passed": False}


@contextmanager
def counted_waits() -> Iterator[list[str]]:
    """The places where the program waited for the GPU, as torch reports them."""
    places: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode("default")
            places += [
                f"{'/'.join(Path(one.filename).parts[-2:])}:{one.lineno}"
                for one in caught
                if "synchroniz" in str(one.message)
            ]


def waits(bench: Bench) -> Result:
    """How often the program waits for the GPU: in a training step of two micro-batches (it need not), and per token decoded."""
    bench.need_cuda("a CPU is never waited for")
    model = make_model("gemma3_text", torch.bfloat16)
    world, settings = Distributed(0, 1, bench.device), TrainSettings(kind="full")
    trained = on_device(bench, model, torch.float32, PACKED).train()
    engine = DataParallel(trained, torch.bfloat16, lambda found: build_optimizer(found, settings), 1.0, world)
    head, batches = HeadLoss(trained), [batch_of(bench), batch_of(bench)]

    def step() -> None:
        engine.step(batches, lambda module, batch: head(module, batch.inputs, batch.targets), 1e-5)

    step()  # the first one checks the model's head
    with counted_waits() as in_step:
        step()
    network = Network(on_device(bench, model, torch.bfloat16, RAGGED))
    decoder = Decoder(network, NoText(), GenerateSettings(max_new_tokens=64), 4)

    def decode(new: int) -> list[str]:
        with counted_waits() as places:
            prompts = random_tokens([5, 9, 7], VOCABULARY)
            list(decoder.respond([new_response(str(n), prompt, 1 << 40, new) for n, prompt in enumerate(prompts)]))
        return places

    few, many = decode(4), decode(12)
    return {
        "training_step": len(in_step),
        "token": (len(many) - len(few)) / 8,
        "places": sorted({*in_step, *many}),
        "passed": not in_step,
    }


def micro_batches_do_not_matter(bench: Bench) -> Result:
    """A training step in one micro-batch or in three gives the same gradient norm and loss."""
    model, settings = make_model("llama", torch.float32), TrainSettings(kind="full")
    world = Distributed(0, 1, bench.device)
    sequences = [Instance(torch.tensor(t).numpy(), 2) for t in random_tokens([37, 60, 23], VOCABULARY)]

    def step(groups: list[list[int]]) -> tuple[Tensor, Tensor]:
        trained = on_device(bench, model, torch.float32, PACKED).train()
        engine = DataParallel(trained, torch.float32, lambda found: build_optimizer(found, settings), 1e9, world)
        head = HeadLoss(trained)
        batches = [micro_batch(sequences, group, 0, bench.device) for group in groups]
        return engine.step(batches, lambda module, batch: head(module, batch.inputs, batch.targets), 1e-5)

    one, three = step([[0, 1, 2]]), step([[0], [1], [2]])
    errors = {name: error(a, b.cpu().double()) for name, a, b in zip(("loss", "norm"), one, three, strict=True)}
    return judged(errors, dict.fromkeys(errors, 1e-5))


MEASUREMENTS = [
    Measurement("packed logits", 10, packed_is_separate, is_check=True),
    Measurement("loss and gradients", 10, loss_and_gradients, is_check=True),
    Measurement("micro-batches", 5, micro_batches_do_not_matter, is_check=True),
    Measurement("decoding", 10, decoding_is_teacher_forced, is_check=True),
    Measurement("shift", 5, divergences, is_check=True),
    Measurement("out of memory", 5, out_of_memory, is_check=True),
    Measurement("waits for the GPU", 10, waits, is_check=True),
]
