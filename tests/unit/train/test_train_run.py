"""Whole trainings of a tiny model, in this process."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.support.tiny_training import lines, losses, make_model, make_rows, make_tokenizer

from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256
from closerlook.data.prompts import encode_prompt, encode_response
from closerlook.models.load import load_base, load_tokenizer, load_tuned
from closerlook.train.run import train
from closerlook.train.setup import learning_rate

TEMPLATE = "Question : {instruction} Answer :"


def outputs(cell: Path) -> set[str]:
    return {path.name for path in cell.iterdir()}


def test_log_and_manifest_tell_what_was_done(trained, base):
    cell = trained(rows=25, epochs=2.0, batch_size=8, max_length=24)
    log, manifest = lines(cell), json.loads((cell / "manifest.json").read_text())
    assert outputs(cell) == {"model", "train_log.jsonl", "manifest.json"}
    assert [line["step"] for line in log] == list(range(1, 8))  # ceil(2 * 25 / 8)
    assert manifest["examples_seen"] == 56
    assert all(line["padding_share"] == 0 and line["grad_norm"] > 0 for line in log)
    assert log[-1]["loss"] < log[0]["loss"] / 2
    assert manifest["tokens"] == sum(line["tokens"] for line in log) > manifest["trained_tokens"]
    tokenizer = load_tokenizer(base)
    lengths = [
        len(encode_prompt(tokenizer, TEMPLATE, row["instruction"]) + encode_response(tokenizer, row["response"]))
        for row in make_rows(25)
    ]
    cut = sum(length > 24 for length in lengths)
    expected = {"rows": 25, "used": 25, "cut_by_max_length": cut, "dropped_prompt_too_long": 0}
    assert cut > 0
    assert manifest["data"] == expected | {"sha256": sha256(cell.with_suffix(".parquet"))}
    assert manifest["base_model"]["sha256"] == sha256(base)
    assert manifest["parameters"]["total"] == manifest["parameters"]["trainable"] == 19808
    assert manifest["resumed_from"] == []
    assert manifest["versions"].keys() >= {"torch", "transformers", "peft", "deepspeed", "closerlook", "python"}
    assert str(cell.parent) not in (cell / "manifest.json").read_text()


@pytest.mark.parametrize("kind", ["full", "lora", "bias"])
def test_same_seed_same_bytes(trained, kind):
    settings = {"kind": kind, "neftune_alpha": 5.0, "lora_dropout": 0.2}
    first, second, other = (
        trained("first", **settings),
        trained("second", **settings),
        trained("other", **settings, seed=1),
    )
    assert sha256(first / "model") == sha256(second / "model")
    assert sha256(first / "model") != sha256(other / "model")


def test_micro_batches_do_not_matter(trained):
    whole = trained("whole", micro_batch=8, neftune_alpha=5.0)
    for micro_batch in (1, 3):
        parts = trained(f"parts{micro_batch}", micro_batch=micro_batch, neftune_alpha=5.0)
        # float32 sums in another order, carried through six steps of AdamW
        assert losses(parts) == pytest.approx(losses(whole), abs=1e-5)
        assert [line["grad_norm"] for line in lines(parts)] == pytest.approx(
            [line["grad_norm"] for line in lines(whole)], rel=1e-4
        )


def test_first_loss_is_the_plain_mean_over_trained_tokens(trained, base):
    """Against transformers' own loss in float64, sequence by sequence, with labels masked by hand."""
    cell = trained(rows=8, batch_size=8, epochs=1.0, micro_batch=2)
    model, tokenizer = load_base(base, dtype=torch.float64), load_tokenizer(base)
    total, count = 0.0, 0
    for row in make_rows(8):
        prompt = encode_prompt(tokenizer, TEMPLATE, row["instruction"])
        response = encode_response(tokenizer, row["response"])
        labels = torch.tensor([[-100] * len(prompt) + response])
        total += model(input_ids=torch.tensor([prompt + response]), labels=labels).loss.item() * len(response)
        count += len(response)
    assert losses(cell)[0] == pytest.approx(total / count, rel=1e-6)  # float32 against float64
    assert lines(cell)[0]["trained_tokens"] == count


def test_one_step_equals_plain_adamw(trained, base):
    """The whole step, against a loop without packing, head tricks or micro-batches."""
    cell = trained(
        rows=8, batch_size=8, epochs=1.0, weight_decay=0.1, warmup_ratio=0.0, max_grad_norm=0.5, micro_batch=3
    )
    model, tokenizer = load_base(base), load_tokenizer(base)
    decay = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    loss, count = 0.0, 0
    for row in make_rows(8):
        prompt = encode_prompt(tokenizer, TEMPLATE, row["instruction"])
        response = encode_response(tokenizer, row["response"])
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(response), reduction="sum")
        count += len(response)
    (loss / count).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    assert lines(cell)[0]["grad_norm"] == pytest.approx(norm.item(), rel=1e-5)
    tuned = load_base(cell / "model")
    for (name, expected), actual in zip(model.named_parameters(), tuned.parameters(), strict=True):
        # AdamW's first step is lr * sign(gradient): where a gradient is about 0, rounding decides, so compare nearly all
        assert ((actual - expected).abs() < 1e-5).float().mean() > 0.99, name


def test_lora_learns_saves_and_merges(trained, base):
    cell = trained(kind="lora")
    assert {"adapter_config.json", "adapter_model.safetensors"} == outputs(cell / "model")
    weights = load_file(cell / "model" / "adapter_model.safetensors")
    assert len(weights) == 2 * 14  # A and B of seven linear layers in two blocks
    assert all(tensor.abs().max() > 0 for tensor in weights.values())
    assert losses(cell)[-1] < losses(cell)[0]
    model, inputs = load_tuned(base, cell / "model"), torch.tensor([[1, 4, 5, 9, 12]])
    assert isinstance(model, PeftModel)
    with torch.no_grad():
        apart = model(input_ids=inputs).logits
        with model.disable_adapter():
            without = model(input_ids=inputs).logits
        merged = model.merge_and_unload()(input_ids=inputs).logits
    assert torch.equal(without, load_base(base)(input_ids=inputs).logits)
    assert (apart - without).abs().max() > 0.1
    torch.testing.assert_close(merged, apart, atol=1e-4, rtol=1e-4)  # one float32 product instead of two


def test_bias_trains_biases_only(trained, base):
    cell = trained(kind="bias")
    before, after = load_file(base / "model.safetensors"), load_file(cell / "model" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert changed == {name for name in before if name.endswith(".bias")}


def test_eos_is_learned(trained, base):
    cell = trained(rows=8, batch_size=8, epochs=150.0, learning_rate=1e-2)
    tokenizer, model = load_tokenizer(base), load_tuned(base, cell / "model")
    for row in make_rows(8):
        prompt = torch.tensor([encode_prompt(tokenizer, TEMPLATE, row["instruction"])])
        answer = model.generate(prompt, max_new_tokens=40, do_sample=False, pad_token_id=0)[
            0, prompt.shape[1] :
        ].tolist()
        assert answer == encode_response(tokenizer, row["response"])


def test_cut_responses_teach_no_end(trained, base):
    """A response cut by max_length must not end in an end-of-sequence token that it does not have."""
    cell = trained(rows=8, batch_size=8, epochs=1.0, max_length=12)
    tokenizer = load_tokenizer(base)
    prompts = [len(encode_prompt(tokenizer, TEMPLATE, row["instruction"])) for row in make_rows(8)]
    assert lines(cell)[0]["trained_tokens"] == sum(12 - length for length in prompts)


def test_weights_keep_the_base_models_precision(trained, base, tmp_path):
    half = tmp_path / "half"
    load_base(base, dtype=torch.bfloat16).save_pretrained(half)
    make_tokenizer().save_pretrained(half)
    cell = trained(model=half)
    assert {tensor.dtype for tensor in load_file(cell / "model" / "model.safetensors").values()} == {torch.bfloat16}


def test_tied_embeddings_stay_tied(trained, tmp_path):
    tied = tmp_path / "tied"
    make_model(tie_word_embeddings=True).save_pretrained(tied)
    make_tokenizer().save_pretrained(tied)
    cell = trained(model=tied)
    assert "lm_head.weight" not in load_file(cell / "model" / "model.safetensors")
    model = load_base(cell / "model")
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_gradient_checkpointing_changes_nothing(trained, kind):
    settings = {"kind": kind, "lora_dropout": 0.3}
    plain, saving = trained("plain", **settings), trained("saving", **settings, gradient_checkpointing=True)
    assert losses(saving) == pytest.approx(losses(plain), rel=1e-6)


def test_bfloat16_stays_near_float32(trained):
    exact, rough = trained("exact"), trained("rough", precision="bfloat16")
    assert losses(rough) == pytest.approx(losses(exact), rel=0.05)  # eight bits of mantissa
    assert losses(rough) != losses(exact)


def test_nothing_to_train_on_is_refused(make_job):
    with pytest.raises(CloserlookError, match=r" 24 .* max_length 5"):
        train(make_job(max_length=5))


def test_nothing_to_train_is_refused(make_job, tmp_path):
    make_model().save_pretrained(tmp_path / "plain")
    make_tokenizer().save_pretrained(tmp_path / "plain")
    job = make_job(kind="bias", model=tmp_path / "plain")
    with pytest.raises(CloserlookError, match=r"kind bias: .*LlamaForCausalLM \(llama\)"):
        train(job)
    assert not (job.out / "model").exists()


def test_non_finite_loss_stops_with_a_reason(make_job, tmp_path):
    broken = make_model(attention_bias=True)
    with torch.no_grad():
        broken.model.layers[0].mlp.up_proj.weight[0, 0] = math.inf
    broken.save_pretrained(tmp_path / "broken")
    make_tokenizer().save_pretrained(tmp_path / "broken")
    job = make_job(model=tmp_path / "broken")
    with pytest.raises(CloserlookError, match=r"step 1: loss nan.*learning_rate 0.01"):
        train(job)
    assert outputs(job.out) <= {"checkpoints"}


def test_missing_tracker_is_told_before_training(make_job, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    job = make_job(report_to=["trackio"])
    with pytest.raises(CloserlookError, match="pip install trackio"):
        train(job)
    assert not job.out.exists()


def test_tensorboard_gets_every_step(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cell = trained(report_to=["tensorboard"])
    events = EventAccumulator(str(cell / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(losses(cell), rel=1e-6)


def test_every_instance_once_per_epoch(make_job):
    from closerlook.train.batches import order

    settings = make_job(epochs=3.0, batch_size=7).settings
    steps = order(24, settings)
    assert steps.shape == (math.ceil(3 * 24 / 7), 7)
    flat = steps.ravel().tolist()
    for epoch in range(3):
        assert sorted(flat[epoch * 24 : (epoch + 1) * 24]) == list(range(24))
    assert max(Counter(flat[72:]).values()) == 1
    assert flat[:24] != flat[24:48]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_learning_rate_rises_then_falls_and_is_never_zero(make_job, schedule):
    settings = make_job(schedule=schedule, warmup_ratio=0.1, learning_rate=1.0).settings
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert min(rates) > 0
    if schedule != "constant":
        assert rates[-1] < 0.02


def test_more_ranks_than_instances_per_step_is_refused(make_job):
    from closerlook.train.distributed import Distributed

    with pytest.raises(CloserlookError, match=r"batch_size 8 .*ranks, 16"):
        make_job().micro_steps(Distributed(0, 16, torch.device("cpu")))


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_hosted_trackers_get_every_step(trained, monkeypatch, name):
    """Against a stand-in with the calls that both packages have: init, and the run's log and finish."""
    import importlib.machinery
    import sys
    import types

    seen = []

    class Run:
        def log(self, values, step):
            seen.append((step, values["train/loss"]))

        def finish(self):
            seen.append("finished")

    package = types.ModuleType(name)
    package.__spec__ = importlib.machinery.ModuleSpec(name, None)
    package.init = lambda project, name, config: seen.append((project, config["kind"])) or Run()
    monkeypatch.setitem(sys.modules, name, package)
    cell = trained(report_to=[name])
    assert seen == [("closerlook", "full"), *enumerate(losses(cell), 1), "finished"]
