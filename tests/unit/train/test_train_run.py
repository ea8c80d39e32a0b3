"""Whole trainings of a tiny model, in this process."""

import json
import math
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.support.tiny_training import lines, losses, make_model, make_rows, make_tokenizer
from transformers import PreTrainedModel

from closerlook.core import versions
from closerlook.core.errors import CloserlookError
from closerlook.core.files import DIGEST_RECORD, sha256
from closerlook.data.prompts import encode_prompt, encode_response
from closerlook.models.load import load_base, load_tokenizer, load_tuned
from closerlook.train import run
from closerlook.train.distributed import Distributed
from closerlook.train.run import train

TEMPLATE = "Question : {instruction} Answer :"


def outputs(cell: Path) -> set[str]:
    return {path.name for path in cell.iterdir()}


def test_log_and_manifest_tell_what_was_done(trained, base):
    cell = trained(rows=25, epochs=2.0, batch_size=8, max_length=24)
    log, facts = lines(cell), json.loads((cell / "manifest.json").read_text())
    assert outputs(cell) == {"model", "train_log.jsonl", "manifest.json"}
    assert [line["step"] for line in log] == list(range(1, 8))  # ceil(2 * 25 / 8)
    assert facts["examples_seen"] == 56
    assert all(line["padding_share"] == 0 and line["grad_norm"] > 0 for line in log)
    assert log[-1]["loss"] < log[0]["loss"] / 2
    assert facts["tokens"] == sum(line["tokens"] for line in log) > facts["trained_tokens"]
    tokenizer = load_tokenizer(base)
    lengths = [
        len(encode_prompt(tokenizer, TEMPLATE, row["instruction"]) + encode_response(tokenizer, row["response"]))
        for row in make_rows(25)
    ]
    cut = sum(length > 24 for length in lengths)
    expected = {"rows": 25, "used": 25, "cut_by_max_length": cut, "dropped_prompt_too_long": 0}
    assert cut > 0
    assert facts["data"] == expected | {"sha256": sha256(cell.with_suffix(".parquet"))}
    assert facts["base_model"]["sha256"] == sha256(base)
    assert facts["parameters"]["total"] == facts["parameters"]["trainable"] == 19808
    assert facts["resumed_from"] == []
    assert facts["versions"].keys() >= {"torch", "transformers", "peft", "deepspeed", "closerlook", "python"}
    assert str(cell.parent) not in (cell / "manifest.json").read_text()


def test_a_package_that_is_not_installed_has_no_version(trained, monkeypatch):
    """Plain trainings need no deepspeed, and closerlook may run from its folder."""

    def version(name):
        if name in ("deepspeed", "closerlook"):
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(versions, "version", version)
    found = json.loads((trained() / "manifest.json").read_text())["versions"]
    assert (found["deepspeed"], found["closerlook"], found["torch"]) == (None, None, "1.0")


def test_no_rank_leaves_before_all_is_written(make_job, monkeypatch):
    """Else srun's WaitTime could end the first rank while it writes the model."""
    job, written = make_job(), []
    original = Distributed.wait

    def wait(self):
        written.append((job.out / "manifest.json").exists())
        original(self)

    monkeypatch.setattr(Distributed, "wait", wait)
    train(job)
    assert written[-1]


def test_determinism_holds_while_training_and_is_recorded(make_job, trained, monkeypatch):
    seen, original = [], run.HeadLoss.__call__

    def loss(self, *inputs):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return original(self, *inputs)

    monkeypatch.setattr(run.HeadLoss, "__call__", loss)
    cells = [trained(f"cell{number}", deterministic=number > 0) for number in range(3)]
    assert seen == [False] * (len(seen) // 3) + [True] * (len(seen) // 3 * 2)
    assert not torch.are_deterministic_algorithms_enabled()
    assert len({sha256(cell / "model") for cell in cells}) == 1  # a CPU is deterministic as it is
    facts = [json.loads((cell / "manifest.json").read_text()) for cell in cells]
    assert [(fact["deterministic"], fact["engine"]["deterministic"]) for fact in facts] == [
        (False, False),
        (True, True),
        (True, True),
    ]


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
    for index, engine in enumerate(({"micro_batch": 1}, {"micro_batch": 3}, {"micro_tokens": 70})):
        parts = trained(f"parts{index}", neftune_alpha=5.0, **engine)
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
    assert {"adapter_config.json", "adapter_model.safetensors", DIGEST_RECORD} == outputs(cell / "model")
    recorded = json.loads((cell / "model" / DIGEST_RECORD).read_text())["sha256"]
    (cell / "model" / DIGEST_RECORD).unlink()
    assert sha256(cell / "model") == recorded
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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_bias_trains_biases_only(trained, base, precision):
    cell = trained(kind="bias", precision=precision)
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tied_embeddings_stay_tied(trained, tmp_path, dtype):
    tied = tmp_path / "tied"
    make_model(tie_word_embeddings=True).to(dtype).save_pretrained(tied)
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


def test_gradient_checkpointing_under_its_older_name(make_job, monkeypatch):
    enabled = []
    monkeypatch.setattr(PreTrainedModel, "activation_checkpointing_enable", None)
    monkeypatch.setattr(PreTrainedModel, "gradient_checkpointing_enable", lambda self, options: enabled.append(options))
    train(make_job(gradient_checkpointing=True))
    assert enabled == [{"use_reentrant": False}]


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
