"""Train one cell: base model and instances in; tuned model, training log and manifest out. One story, in order."""

import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel
from torch import Tensor, nn
from tqdm import tqdm
from transformers import AutoConfig

from closerlook.core.errors import NonFiniteLoss, Stopped
from closerlook.core.files import read_parquet, record_digest, replacing, sha256, write_json
from closerlook.core.fingerprint import fingerprint
from closerlook.models.device import deterministic_algorithms, device_kind
from closerlook.models.load import load_base, load_tokenizer
from closerlook.models.precision import dtype_name
from closerlook.train import checkpoints, held_out, manifest
from closerlook.train.batches import BatchSchedule, MicroBatch, order, tokenize
from closerlook.train.distributed import Distributed, join_ranks
from closerlook.train.log import Log, Trackers, check_trackers
from closerlook.train.loss import HeadLoss
from closerlook.train.methods import SegmentNoise, draw_seed
from closerlook.train.parallel import DataParallel, Zero
from closerlook.train.setup import Job, learning_rate, set_up
from closerlook.train.stop_signal import StopSignal, stop_signals


def train(job: Job) -> None:
    """Train a cell: write out/model, out/train_log.jsonl and, last, out/manifest.json. Resumes from the last checkpoint.

    Raises CloserlookError for whatever the user can mend, and Stopped when a stop signal came and all ranks have written a
    checkpoint of the same step; `out` then contains checkpoints at most.
    """
    check_trackers(job.engine.report_to)
    with deterministic_algorithms(job.engine.deterministic):
        world = join_ranks(deepspeed=job.engine.deepspeed is not None)
        try:
            with stop_signals() as stop:
                _train(job, world, stop)
        finally:
            world.leave()


def _train(job: Job, world: Distributed, stop: StopSignal) -> None:
    (job.out / "manifest.json").unlink(missing_ok=True)  # it says that the cell is trained
    settings = job.settings
    job.check_ranks(world)
    rows = read_parquet(job.data, columns=["instruction", "response"])
    train_rows, held_out_rows = held_out.split(rows, settings.held_out)
    how = load_tokenizer(job.model), job.config.template.text, settings.max_length, not world.first
    instances, counts = tokenize(train_rows, *how)
    held_out_instances = (
        tokenize(held_out_rows, *how, purpose="measure the held-out loss on")[0] if len(held_out_rows) else []
    )
    schedule = BatchSchedule(instances, order(len(instances), settings), job.engine)
    engine = set_up(job, world)

    facts = _facts(job, world) if world.first else {}
    folder = job.out / "checkpoints"
    if world.first:
        checkpoints.make_folder(folder, job.scratch)
    saved = checkpoints.CheckpointManager(folder, fingerprint(**facts))
    loss_before = held_out.losses(engine, held_out_instances, world)
    done = world.broadcast(saved.resume_at() if world.first else None)
    if done:
        engine.load(saved.at(done))
    log = Log(saved.folder / "train_log.jsonl", done) if world.first else None
    trackers = Trackers(job.engine.report_to if world.first else [], job.out, settings.model_dump())

    for line, stop_requested in _steps(job, world, schedule, engine, done, stop):
        if log:
            log.add(line)
            trackers.add(line)
        unfinished = line["step"] < len(schedule.order)
        if unfinished and (stop_requested or line["step"] % job.engine.checkpoint_steps == 0):
            _checkpoint(engine, saved, line["step"], world)
        if unfinished and stop_requested:
            raise Stopped(f"{job.out}: stopped on request; will resume after step {line['step']}")

    trackers.close()
    loss_after = held_out.losses(engine, held_out_instances, world)
    if held_out_instances:
        facts["held_out"] = held_out.facts(held_out_instances, loss_before, loss_after)
    _save_model(job, world, engine)
    if log:
        facts["data"] |= counts
        facts |= {"config": job.config.model_dump(mode="json", exclude={"generate"})}
        facts |= {"engine": job.engine.model_dump(), "resumed_from": saved.resumed_from()}
        facts |= manifest.run_facts(log, schedule, engine.module, world)  # its device has the processor's name too
        shutil.move(log.file, job.out / "train_log.jsonl")
        write_json(facts, job.out / "manifest.json")
        checkpoints.remove_all(saved.folder)
    world.wait()  # a launcher may end the first rank while it writes, if the others have left


def _facts(job: Job, world: Distributed) -> dict[str, Any]:
    """What two runs must share for one to resume the other's checkpoint; micro-batches and the like may differ."""
    return {
        "config_digest": job.config.training_digest,
        "precision": dtype_name(job.dtype(world)),
        "deterministic": job.engine.deterministic,
        "device": device_kind(world.device),
        "deepspeed": Path(job.engine.deepspeed).read_text() if job.engine.deepspeed else None,
        "data": {"sha256": sha256(job.data)},
        "base_model": {"sha256": sha256(job.model)},
        "world_size": world.size,
    }


def _steps(
    job: Job, world: Distributed, schedule: BatchSchedule, engine: DataParallel | Zero, done: int, stop: StopSignal
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Run the optimizer steps after the first `done`; yield each step's log line, and whether any rank was asked to stop.

    Raises NonFiniteLoss.
    """
    settings, steps = job.settings, len(schedule.order)
    head_loss = HeadLoss(engine.module)
    noise = SegmentNoise(engine.module, settings.neftune_alpha, settings.seed) if settings.neftune_alpha else None
    for step in tqdm(range(done, steps), initial=done, total=steps, desc="train", disable=not world.first):
        begun, mine = time.perf_counter(), schedule.batches_of_rank(step, world)
        # Ranks average their gradients, so each counts its loss `world.size` times.
        scale = world.size / mine.trained_tokens

        def loss_of(model: nn.Module, batch: MicroBatch, scale: float = scale) -> Tensor:
            torch.manual_seed(draw_seed(settings.seed, *batch.positions))  # of dropout; the same after a restart
            if noise:
                noise.segments, noise.positions = batch.inputs["segments"], batch.positions
            return head_loss(model, batch.inputs, batch.targets) * scale

        rate = learning_rate(step, steps, settings)
        own_loss, own_norm = engine.step(mine.batches, loss_of, rate)
        sums = world.sum(own_loss, own_norm, mine.slots, stop.requested)  # the step's only wait for the device
        loss, norm, slots, stops = sums[0] / world.size, sums[1] / world.size, *sums[2:]
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise _non_finite(job, step + 1, loss, norm, rate)
        seconds = time.perf_counter() - begun
        line = {
            "step": step + 1,
            "epoch": (step + 1) * settings.batch_size / len(schedule.instances),
            "loss": loss,
            "learning_rate": rate,
            "grad_norm": norm,
            "tokens": mine.tokens,
            "trained_tokens": mine.trained_tokens,
            "tokens_per_second": mine.tokens / seconds,
            "padding_share": 1 - mine.tokens / slots,
            "seconds": seconds,
        }
        yield line, stops > 0


def _non_finite(job: Job, step: int, loss: float, norm: float, rate: float) -> NonFiniteLoss:
    return NonFiniteLoss(
        f"{job.out}: training stopped at step {step}: loss {loss}, gradient norm {norm}, learning rate {rate:.2g}. "
        f"Likely causes: learning_rate {job.settings.learning_rate:g} is too high or warmup_ratio "
        f"{job.settings.warmup_ratio:g} too short for this model; or the base model's weights are not finite in this "
        "precision (try --precision float32)"
    )


def _checkpoint(
    engine: DataParallel | Zero, saved: checkpoints.CheckpointManager, step: int, world: Distributed
) -> None:
    """Write a checkpoint on all ranks, then mark it as complete."""
    if world.first:
        saved.start(step)
    world.wait()
    engine.save(saved.at(step))
    world.wait()
    if world.first:
        saved.complete(step)


def _save_model(job: Job, world: Distributed, engine: DataParallel | Zero) -> None:
    """Write out/model: the adapter alone, or full weights in the base model's precision, with its tokenizer."""
    lora, full = job.settings.kind == "lora", job.settings.kind == "full"
    base_dtype = AutoConfig.from_pretrained(job.model, local_files_only=True).dtype or torch.float32
    weights = engine.weights(only_trained=not full, dtype=torch.float32 if lora else base_dtype)
    if not world.first:
        return
    if not (lora or full):  # the engine may have rounded the weights that it does not train
        weights = load_base(job.model, dtype=base_dtype).state_dict() | weights
    with replacing(job.out / "model") as folder:
        if lora:
            module = cast(PeftModel, engine.module)
            adapter = cast(LoraConfig, module.peft_config["default"])
            # The base model's name instead of its path, and a sorted list: the same training gives the same bytes.
            adapter.base_model_name_or_path = job.model.name
            adapter.target_modules = sorted(adapter.target_modules or [])
            module.save_pretrained(str(folder), state_dict=weights, save_embedding_layers=False)
            (folder / "README.md").unlink()
        else:
            engine.module.save_pretrained(folder, state_dict=weights)
            load_tokenizer(job.model).save_pretrained(folder)
        record_digest(folder)
