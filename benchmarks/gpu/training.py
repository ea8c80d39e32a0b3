"""Training speed: compared with Trainer and TRL on Alpaca; for 7B by length of micro-batch; and with ZeRO."""

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import torch

import training
from closerlook.config.architecture import Architecture
from closerlook.config.cell import CellConfig, PromptTemplate
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.files import write_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.models.load import load_tokenizer
from closerlook.models.packed import PACKED
from closerlook.train.batches import Instance, MicroBatch, micro_batch, tokenize
from closerlook.train.compiled import compile_layers
from closerlook.train.distributed import Distributed, join_ranks
from closerlook.train.loss import HeadLoss
from closerlook.train.methods import apply_method
from closerlook.train.parallel import DataParallel, LossOf, Zero
from closerlook.train.setup import Job, build_optimizer, set_up
from common import REPOSITORY
from gpu import materials
from gpu.bench import TINY, Bench, flops, random_tokens
from gpu.budget import Measurement, Result, Skipped, attempt
from gpu.correctness import judged

RATE = 1e-5
MODEL = "gemma-3-270m"


def save_model(bench: Bench, folder: Path) -> Path:
    """Write Gemma 3 270M with random weights and its tokenizer, unless it is there."""
    if not (folder / "config.json").exists():
        shutil.unpack_archive(bench.prepared / materials.TOKENIZER, folder)
        bench.build(bench.architecture(MODEL), torch.float32, "sdpa").save_pretrained(folder)
    return folder


def compare_with_peers(bench: Bench) -> Result:
    """A repeat of each method on the same rows of Alpaca: real tokens per second, MFU, peak memory, and times the fastest peer.

    benchmarks/training.py has the methods. cuDNN's attention is off for all (see the attention kernels).
    """
    folder, lora = bench.folder / "peers", TrainSettings(kind="lora")
    architecture = bench.architecture(MODEL)
    save_model(bench, folder / "model")
    torch.backends.cuda.enable_cudnn_sdp(False)
    count = bench.times(1, 9) * training.BATCH
    rows = pq.read_table(bench.prepared / materials.ALPACA_1K)
    write_parquet(rows.slice(0, count), INSTANCES, folder / "data.parquet")
    instances, _ = tokenize(
        rows.slice(0, count), load_tokenizer(folder / "model"), training.TEMPLATE, training.PACKED_LENGTH, quiet=True
    )
    lengths = [len(instance.tokens) for instance in instances]
    trained = sum(len(instance.tokens) - instance.trained_from for instance in instances)

    def measure(speed: Callable[[], float], settings: TrainSettings) -> Result:
        bench.forget_peak()
        tokens_per_second = speed()
        per_token = flops(architecture, settings, lengths, trained) / sum(lengths)
        return {"tokens_per_second": tokens_per_second, "peak_gb": bench.peak_gb()} | bench.mfu(
            tokens_per_second * per_token
        )

    def peer(library: str, speed: Callable[[], float]) -> Callable[[], float]:
        def run() -> float:
            if not find_spec(library):
                raise Skipped(f"{library} is not installed")
            return speed()

        return run

    full, batch = TrainSettings(kind="full"), training.BATCH
    methods = {
        "ours full": (lambda: training.ours(folder, False, "auto"), full),
        "ours full, 4 micro-batches": (lambda: training.ours(folder, False, "auto", batch // 4), full),
        "ours LoRA": (lambda: training.ours(folder, True, "auto"), lora),
        "Trainer full": (peer("datasets", lambda: training.trainer(folder, False, batch)), full),
        "Trainer LoRA": (peer("datasets", lambda: training.trainer(folder, True, batch)), lora),
        "TRL full": (peer("trl", lambda: training.trl(folder, False, batch)), full),
        "TRL packed full": (peer("trl", lambda: training.trl(folder, True)), full),
    }
    outcomes = {name: attempt(lambda method=method: measure(*method)) for name, method in methods.items()}
    found: Result = {name: outcome.get("result", outcome) for name, outcome in outcomes.items()}
    speeds = {name: one["tokens_per_second"] for name, one in found.items() if "tokens_per_second" in one}
    for kind in ("full", "LoRA"):
        peers = [speed for name, speed in speeds.items() if name in training.PEERS and name.endswith(kind)]
        if peers and f"ours {kind}" in speeds:
            found[f"ours {kind}"]["times_the_fastest_peer"] = speeds[f"ours {kind}"] / max(peers)
    return found


def loss_of(head: HeadLoss, trained: int) -> LossOf:
    """The mean loss of the trained tokens."""
    return lambda model, batch: head(model, batch.inputs, batch.targets) / trained


def micro_batch_of(bench: Bench, lengths: list[int], vocabulary: int) -> tuple[MicroBatch, int]:
    """Random sequences of which the last two thirds are trained; and how many tokens that are."""
    instances = [
        Instance(torch.tensor(tokens).numpy(), len(tokens) // 3) for tokens in random_tokens(lengths, vocabulary)
    ]
    trained = sum(len(instance.tokens) - instance.trained_from for instance in instances)
    return micro_batch(instances, list(range(len(instances))), 0, bench.device), trained


def step_of_7b(kind: str, layers: int, tokens: int, option: str) -> Callable[[Bench], Result]:
    """Return a measurement of a training step: one micro-batch, the shape of Llama 2 7B with `layers` of its 32 layers.

    option: "", "checkpointing" of gradients, or "compiled" layers.
    """

    def measure(bench: Bench) -> Result:
        architecture = bench.architecture("llama-2-7b", layers)
        settings = TrainSettings(kind=kind)
        length = bench.times(24, 512)
        lengths = [length] * bench.times(2, tokens // length)
        batch, trained = micro_batch_of(bench, lengths, architecture.vocab_size)
        loaded = torch.bfloat16 if kind == "lora" else torch.float32
        model = bench.build(architecture, loaded, PACKED)
        if option == "checkpointing":
            model.gradient_checkpointing_enable({"use_reentrant": False})
        if option == "compiled":
            compile_layers(model, "aot_eager" if bench.tiny else "inductor")
        module = apply_method(model, settings).train()
        world = Distributed(0, 1, bench.device)
        engine = DataParallel(module, torch.bfloat16, lambda found: build_optimizer(found, settings), 1.0, world)
        loss = loss_of(HeadLoss(module), trained)
        bench.forget_peak()
        first = bench.seconds(lambda: engine.step([batch], loss, RATE))
        found = bench.in_turn({"step": lambda: engine.step([batch], loss, RATE)}, bench.times(1, 5))["step"]
        speed = flops(architecture, settings, lengths, trained) / found["seconds"]
        step = {"first_ms": 1e3 * first, "ms_per_step": 1e3 * found["seconds"], "tokens": sum(lengths)}
        return step | {"peak_gb": bench.peak_gb()} | bench.mfu(speed)

    return measure


def zero_on_one_rank(bench: Bench) -> Result:
    """A step of 0.8B with ZeRO-2 and ZeRO-3, compared with data parallelism: the difference is what DeepSpeed's hooks cost.

    And with a tiny model: whether their losses are the same, also after a checkpoint is loaded.
    """
    if not find_spec("deepspeed"):
        raise Skipped("deepspeed is not installed")
    tiny = bench.architecture("llama-2-7b").model_copy(update=TINY)
    large = bench.architecture("llama-2-7b", 16)
    if not bench.tiny:
        large = large.model_copy(update={"hidden_size": 2048, "intermediate_size": 5632, "num_key_value_heads": 4})
    world = join_ranks(deepspeed=True)
    try:
        losses = {name: continued(*engine) for name, *engine in engines(bench, world, tiny, [24, 40])}
        lengths = [bench.times(24, 512)] * bench.times(2, 8)
        speeds = {name: step_of(bench, *engine) for name, *engine in engines(bench, world, large, lengths)}
    finally:
        world.leave()
    expected = losses["data parallel"][0]
    differences = {
        name: max(abs(a - b) / b for a, b in zip(first + second, expected * 2, strict=True))
        for name, (first, second) in losses.items()
    }
    for speed in speeds.values():
        speed["times_data_parallel"] = speed["seconds"] / speeds["data parallel"]["seconds"]
    return {"steps": speeds, **judged(differences, dict.fromkeys(differences, 2e-2))}


def engines(
    bench: Bench, world: Distributed, architecture: Architecture, lengths: list[int]
) -> Iterator[tuple[str, DataParallel | Zero, list[MicroBatch], LossOf]]:
    """Each way to train all parameters of the same model, with its name, a batch and the loss; one after the other."""
    config = CellConfig(template=PromptTemplate(text="{instruction}"), train=TrainSettings(kind="full"))
    batch, trained = micro_batch_of(bench, lengths, architecture.vocab_size)
    with TemporaryDirectory(dir=bench.folder) as folder:
        bench.build(architecture, torch.bfloat16, "sdpa").save_pretrained(folder)
        for name, file in (("data parallel", None), ("ZeRO-2", "zero2.json"), ("ZeRO-3", "zero3.json")):
            deepspeed = str(REPOSITORY / "config/deepspeed" / file) if file else None
            settings = EngineSettings(deepspeed=deepspeed, precision="bfloat16")
            bench.forget_peak()
            engine = set_up(Job(config, Path(folder), Path(), Path(), settings), world)
            yield name, engine, [batch], loss_of(HeadLoss(engine.module), trained)
            del engine


def step_of(bench: Bench, engine: DataParallel | Zero, batches: list[MicroBatch], loss: LossOf) -> Result:
    """Seconds of a step, and the peak memory."""
    found = bench.in_turn({"step": lambda: engine.step(batches, loss, RATE)}, bench.times(1, 8))["step"]
    return {"seconds": found["seconds"], "peak_gb": bench.peak_gb()}


def continued(engine: DataParallel | Zero, batches: list[MicroBatch], loss: LossOf) -> tuple[list[float], list[float]]:
    """The losses of some steps, and those of the same steps after the checkpoint that was written before them is loaded."""

    def steps() -> list[float]:
        return [engine.step(batches, loss, 1e-3)[0].item() for _ in range(3)]

    steps()  # so that the optimizer has a state
    with TemporaryDirectory() as folder:
        engine.save(Path(folder))
        first = steps()
        engine.load(Path(folder))
    return first, steps()


MEASUREMENTS = [
    *(Measurement(f"training, repeat {repeat}", 40, compare_with_peers) for repeat in (1, 2, 3)),
    *(
        Measurement(
            f"7B, {layers} layers, {kind}, {tokens} tokens{', ' * bool(option)}{option}",
            seconds,
            step_of_7b(kind, layers, tokens, option),
        )
        for kind, layers, tokens, option, seconds in (
            ("full", 8, 4096, "", 6),
            ("full", 8, 8192, "", 6),
            ("full", 8, 8192, "checkpointing", 6),
            ("lora", 32, 4096, "", 15),
        )
    ),
    Measurement("ZeRO on one rank", 40, zero_on_one_rank, is_check=True),
]
COMPILED = Measurement("7B, 8 layers, full, 4096 tokens, compiled", 60, step_of_7b("full", 8, 4096, "compiled"))
