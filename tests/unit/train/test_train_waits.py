"""What a GPU would wait for, or do twice, in a step of training."""

from functools import partial

import numpy as np
import pytest
import torch
from tests.support.fake_cuda import Counts, on_fake_cuda
from transformers import LlamaConfig, LlamaForCausalLM

from closerlook.core.files import read_parquet
from closerlook.models.load import load_tokenizer
from closerlook.models.packed import PACKED
from closerlook.train.batches import BatchSchedule, Instance, micro_batch, order, tokenize
from closerlook.train.distributed import Distributed
from closerlook.train.loss import HeadLoss
from closerlook.train.methods import SegmentNoise
from closerlook.train.setup import set_up

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "full"},
        {"kind": "full", "neftune_alpha": 5.0, "precision": "bfloat16"},
        {"kind": "lora", "lora_dropout": 0.1, "precision": "bfloat16"},
        {"kind": "bias", "gradient_checkpointing": True},
    ],
    ids=str,
)
def test_a_step_reads_no_number(settings, make_job):
    """Loss and gradient norm are read together with what other ranks report, once, after the step."""
    job, world = make_job(micro_batch=2, **settings), Distributed(0, 1, CPU)
    engine = set_up(job, world)
    template = job.config.template.text
    instances, _ = tokenize(read_parquet(job.data), load_tokenizer(job.model), template, 64, quiet=True)
    schedule = BatchSchedule(instances, order(len(instances), job.settings), job.engine)
    head_loss = HeadLoss(engine.module)
    noise = SegmentNoise(engine.module, job.settings.neftune_alpha, 0) if job.settings.neftune_alpha else None

    def loss_of(model, batch):
        if noise:
            noise.segments, noise.positions = batch.inputs["segments"], batch.positions
        return head_loss(model, batch.inputs, batch.targets)

    engine.step(schedule.batches_of_rank(0, world).batches, loss_of, 1e-3)  # the first one checks the model
    with Counts("cpu") as counts:
        loss, norm = engine.step(schedule.batches_of_rank(1, world).batches, loss_of, 1e-3)
    assert counts.launches["mm"]
    assert not counts.reads
    read = world.sum(loss, norm, 3, True)
    assert read == [loss.item(), norm.item(), 3.0, 1.0]
    assert all(np.isfinite(read))


def test_measuring_reads_once(make_job):
    job, world = make_job(kind="full"), Distributed(0, 1, CPU)
    engine = set_up(job, world)
    head_loss = HeadLoss(engine.module)
    batches = [micro_batch([Instance(np.arange(1, n + 1, dtype=np.int32), 2)], [0], 0, CPU) for n in (5, 9, 7)]

    def loss_of(model, batch):
        return head_loss(model, batch.inputs, batch.targets)

    alone = [engine.measure([batch], loss_of)[0] for batch in batches]
    with Counts("cpu") as counts:
        together = engine.measure(batches, loss_of)
    assert together == alone
    assert not counts.reads


def test_a_micro_batch_goes_to_the_gpu_without_waiting(fake_cuda):
    """Five arrays, whatever the number of instances; the targets are not gathered there."""
    instances = [Instance(np.arange(1, n + 1, dtype=np.int32), n // 2) for n in (4, 9, 30)]
    with Counts() as counts:
        batch = micro_batch(instances, [2, 0, 1], 0, fake_cuda)
    assert counts.copies.total() == 5
    assert not counts.reads
    assert not counts.launches
    assert {batch.targets.device, batch.inputs["input_ids"].device} == {fake_cuda}


def test_the_loss_on_a_gpu_has_all_its_tensors_there(fake_cuda):
    """Through the layers, and through a head of many pieces."""
    config = LlamaConfig(vocab_size=128256, hidden_size=256, num_hidden_layers=2, num_attention_heads=4)
    build = partial(LlamaForCausalLM._from_config, config, attn_implementation=PACKED)
    model = on_fake_cuda(build, torch.bfloat16)
    head_loss = HeadLoss(model)
    head_loss.checked = True  # by a first pass, which reads the loss once
    batch = micro_batch([Instance(np.arange(1, n + 1, dtype=np.int32), 2) for n in (900, 20)], [0, 1], 0, fake_cuda)
    with Counts() as counts:
        loss = head_loss(model, batch.inputs, batch.targets)
    assert (loss.device, loss.shape, loss.dtype) == (fake_cuda, (), torch.float32)
    assert not counts.reads
    assert not counts.copies


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_in_bfloat16_everything_but_the_master_weights_is(kind, make_job):
    """So no layer casts what it gets: neither autocast's weights, nor the inputs of adapters, as PEFT would for float32 ones."""
    engine = set_up(make_job(kind=kind, precision="bfloat16"), Distributed(0, 1, CPU))
    assert {parameter.dtype for parameter in engine.module.parameters()} == {torch.bfloat16}
    assert {master.dtype for master in engine.trained.values()} == {torch.float32}
    frequencies = [buffer for name, buffer in engine.module.named_buffers() if "inv_freq" in name]
    assert frequencies
    assert {buffer.dtype for buffer in frequencies} == {torch.float32}
    batch = micro_batch([Instance(np.arange(3, 27, dtype=np.int32), 8)] * 4, [0, 1, 2, 3], 0, CPU)
    head_loss = HeadLoss(engine.module)
    before = {name: master.clone() for name, master in engine.trained.items()}
    engine.step([batch], lambda model, batch: head_loss(model, batch.inputs, batch.targets), 1e-6)
    # A step of 1e-6 moves the master weights, of which bfloat16 would lose most.
    assert all(not torch.equal(master, before[name]) for name, master in engine.trained.items() if "lora_A" not in name)
    weights = dict(engine.module.named_parameters())
    assert all(torch.equal(weights[name], master.bfloat16()) for name, master in engine.trained.items())
