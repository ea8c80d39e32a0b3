"""A cell's training, from base model and instances to tuned model, log and manifest: one story, told in order."""

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
from closerlook.core.files import read_parquet, replacing, sha256, write_json
from closerlook.data.prompts import read_template
from closerlook.models.load import load_tokenizer
from closerlook.train import checkpoints, held_out, manifest
from closerlook.train.batches import Course, MicroBatch, order, tokenise
from closerlook.train.distributed import World, join_world
from closerlook.train.log import Log, Trackers, check_trackers
from closerlook.train.loss import HeadLoss
from closerlook.train.methods import SegmentNoise, draw_seed
from closerlook.train.parallel import DataParallel, Zero
from closerlook.train.setup import Job, learning_rate, set_up
from closerlook.train.stop_signal import Notice, notices


def train(job: Job) -> None:
    """Train a cell: writes out/model, out/train_log.jsonl and, last, out/manifest.json. Goes on from the last checkpoint.

    Raises CloserlookError for whatever the user can mend, and Stopped when Slurm gave notice and all ranks have written a
    checkpoint of the same step; `out` then holds checkpoints at most.
    """
    check_trackers(job.engine.report_to)
    world = join_world(deepspeed=job.engine.deepspeed is not None)
    try:
        with notices() as notice:
            _train(job, world, notice)
    finally:
        world.leave()


def _train(job: Job, world: World, notice: Notice) -> None:
    (job.out / "manifest.json").unlink(missing_ok=True)  # it says that all is done
    rows = read_parquet(job.data, columns=["instruction", "response"])
    tokenizer, template = load_tokenizer(job.model), read_template(job.template)
    rows, apart = held_out.split(rows, job.settings.held_out)
    how = tokenizer, template, job.settings.max_length, not world.first
    instances, counts = tokenise(rows, *how)
    kept_back = tokenise(apart, *how, purpose="measure the held-out loss on")[0] if len(apart) else []
    course = Course(instances, order(len(instances), job.settings), job.micro_steps(world))
    runner = set_up(job, world)

    facts = _facts(job, world) if world.first else {}
    folder = job.out / "checkpoints"
    if world.first:
        checkpoints.place(folder, job.scratch)
    keeper = checkpoints.Keeper(folder, checkpoints.identity(facts))
    before = held_out.losses(runner, kept_back, world)
    done = world.share(keeper.resume_at() if world.first else None)
    if done:
        runner.load(keeper.at(done))
    log = Log(keeper.folder / "train_log.jsonl", done) if world.first else None
    trackers = Trackers(job.engine.report_to if world.first else [], job.out, job.settings.model_dump())

    for line, stop in _steps(job, world, course, runner, done, notice):
        if log:
            log.add(line)
            trackers.add(line)
        unfinished = line["step"] < len(course.order)
        if unfinished and (stop or line["step"] % job.engine.checkpoint_steps == 0):
            _checkpoint(runner, keeper, line["step"], world)
        if unfinished and stop:
            raise Stopped(f"{job.out}: told to stop; the next start goes on after step {line['step']}")

    trackers.close()
    after = held_out.losses(runner, kept_back, world)
    if kept_back:
        facts["held_out"] = held_out.facts(kept_back, before, after)
    _save_model(job, world, runner)
    if log:
        facts["data"] |= counts
        facts |= {"engine": job.engine.model_dump(), "resumed_from": keeper.resumed_from()}
        facts |= manifest.run_facts(log, course, runner.module, world)
        shutil.move(log.file, job.out / "train_log.jsonl")
        write_json(facts, job.out / "manifest.json")
        checkpoints.remove_all(keeper.folder)


def _facts(job: Job, world: World) -> dict[str, Any]:
    """All that two runs must share for one to continue the other; micro-batches and the like may differ."""
    return {
        "settings": job.settings.model_dump(),
        "precision": "bfloat16" if job.in_bfloat16(world) else "float32",
        "deepspeed": Path(job.engine.deepspeed).read_text() if job.engine.deepspeed else None,
        "template": manifest.text_digest(read_template(job.template)),
        "data": {"sha256": sha256(job.data)},
        "base_model": {"sha256": sha256(job.model)},
        "world_size": world.size,
    }


def _steps(
    job: Job, world: World, course: Course, runner: DataParallel | Zero, done: int, notice: Notice
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Run the optimiser steps after the first `done`, and tell of each; with it, whether any rank was told to stop.

    Raises NonFiniteLoss.
    """
    settings, steps = job.settings, len(course.order)
    head_loss = HeadLoss(runner.module)
    noise = SegmentNoise(runner.module, settings.neftune_alpha, settings.seed) if settings.neftune_alpha else None
    for step in tqdm(range(done, steps), initial=done, total=steps, desc="train", disable=not world.first):
        begun, share = time.perf_counter(), course.share(step, world)
        # Ranks average their gradients, so each counts its loss `world.size` times.
        scale = world.size / share.trained_tokens

        def loss_of(model: nn.Module, batch: MicroBatch, scale: float = scale) -> Tensor:
            torch.manual_seed(draw_seed(settings.seed, *batch.places))  # what dropout draws; the same after a restart
            if noise:
                noise.segments, noise.places = batch.inputs["segments"], batch.places
            return head_loss(model, batch.inputs, batch.targets) * scale

        rate = learning_rate(step, steps, settings)
        own_loss, norm = runner.step(share.batches, loss_of, rate)
        loss, slots, told = world.sum(own_loss / world.size, share.slots, notice.given)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise _not_finite(job, step + 1, loss, norm, rate)
        seconds = time.perf_counter() - begun
        line = {
            "step": step + 1,
            "epoch": (step + 1) * settings.batch_size / len(course.instances),
            "loss": loss,
            "learning_rate": rate,
            "grad_norm": norm,
            "tokens": share.tokens,
            "trained_tokens": share.trained_tokens,
            "tokens_per_second": share.tokens / seconds,
            "padding_share": 1 - share.tokens / slots,
            "seconds": seconds,
        }
        yield line, told > 0


def _not_finite(job: Job, step: int, loss: float, norm: float, rate: float) -> NonFiniteLoss:
    return NonFiniteLoss(
        f"{job.out}: training stopped at step {step}: loss {loss}, gradient norm {norm}, learning rate {rate:.2g}. "
        f"Likely causes: learning_rate {job.settings.learning_rate:g} is too high or warmup_ratio "
        f"{job.settings.warmup_ratio:g} too short for this model; or the base model's weights are not finite in this "
        "precision (try --precision float32)"
    )


def _checkpoint(runner: DataParallel | Zero, keeper: checkpoints.Keeper, step: int, world: World) -> None:
    """Write a checkpoint on all ranks, then mark it as complete."""
    if world.first:
        keeper.start(step)
    world.wait()
    runner.save(keeper.at(step))
    world.wait()
    if world.first:
        keeper.complete(step)


def _save_model(job: Job, world: World, runner: DataParallel | Zero) -> None:
    """Write out/model: the adapter alone, or full weights in the base model's precision, with its tokenizer."""
    weights = runner.weights(only_trained=job.settings.kind == "lora")
    if not world.first:
        return
    with replacing(job.out / "model") as folder:
        if job.settings.kind == "lora":
            module = cast(PeftModel, runner.module)
            adapter = cast(LoraConfig, module.peft_config["default"])
            adapter.base_model_name_or_path = job.model.name  # not where it lay, and
            adapter.target_modules = sorted(adapter.target_modules or [])  # a list: the same training, the same bytes
            module.save_pretrained(str(folder), state_dict=weights, save_embedding_layers=False)
            (folder / "README.md").unlink()
        else:
            dtype = AutoConfig.from_pretrained(job.model, local_files_only=True).dtype or torch.float32
            runner.module.save_pretrained(
                folder, state_dict={name: tensor.to(dtype) for name, tensor in weights.items()}
            )
            load_tokenizer(job.model).save_pretrained(folder)
