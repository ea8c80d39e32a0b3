"""Parameters, steps, lengths and operations, against what transformers, peft, the trainer and torch's own counter say."""

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.plan_project import architecture_of
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model
from torch.utils.flop_counter import FlopCounterMode

from closerlook.config.architecture import Architecture
from closerlook.config.catalog import MeanTokens
from closerlook.config.load import read
from closerlook.config.settings import TrainSettings
from closerlook.core.files import write_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.miniature.pretrain import new_model
from closerlook.miniature.tokenizer import make_tokenizer
from closerlook.models.packed import PACKED, pack
from closerlook.plan import work
from closerlook.plan.shape import Shape, find_shape
from closerlook.train.batches import order, tokenize
from closerlook.train.loss import HeadLoss
from closerlook.train.methods import apply_method

CATALOG = read("config/mini.yaml", REPOSITORY).catalog
REAL = [name for name, model in CATALOG.models.items() if model.architecture]
KINDS = ["full", "lora", "bias"]


def built(architecture: Architecture, **changes: int) -> torch.nn.Module:
    """transformers' model of this architecture, without its weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    logging.getLogger("transformers").setLevel(logging.ERROR)
    given = architecture.model_dump(exclude={"dtype", "model_type"}, exclude_none=True) | changes
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture.model_type, **given))


def counted(module: torch.nn.Module) -> tuple[int, int]:
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)


@pytest.mark.parametrize("name", REAL)
def test_the_catalogs_models_have_the_parameters_that_are_published(name: str) -> None:
    assert Shape(CATALOG.models[name].architecture).total == CATALOG.models[name].parameters


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_of_transformers_and_peft(name: str, kind: str) -> None:
    """Real widths, two layers instead of all: each layer is like the other."""
    if kind == "bias" and not CATALOG.models[name].biases:
        pytest.skip("has no biases")
    architecture = CATALOG.models[name].architecture.model_copy(update={"num_hidden_layers": 2})
    shape, method = Shape(architecture), TrainSettings(kind=kind)
    model = apply_method(built(architecture), method)
    total, trainable = counted(model)
    assert trainable == shape.trainable(method)
    assert total == shape.total + (trainable if kind == "lora" else 0)


@pytest.mark.parametrize("rank", [1, 8, 64])
def test_lora_on_the_whole_gemma(rank: int) -> None:
    architecture = CATALOG.models["gemma-3-270m"].architecture
    method = TrainSettings(kind="lora", lora_rank=rank)
    total, trainable = counted(apply_method(built(architecture), method))
    assert (total - trainable, trainable) == (268098176, Shape(architecture).adapters(rank))


def test_the_miniatures_shape_is_known_before_it_is_trained(tmp_path) -> None:
    entry = CATALOG.models["miniature"]
    shape = find_shape("miniature", entry, tmp_path, tmp_path)
    tokenizer = make_tokenizer()
    model = new_model(entry.source.miniature, tokenizer)
    unknown = (len(tokenizer) - shape.architecture.vocab_size) * shape.hidden  # about a thousand is all that is known
    assert shape.total + unknown == model.num_parameters()
    assert abs(unknown) < 0.05 * model.num_parameters()
    model.save_pretrained(tmp_path / "models/miniature")
    assert find_shape("miniature", entry, tmp_path, tmp_path).total == model.num_parameters()


def test_a_models_own_config_comes_before_the_catalog(tmp_path) -> None:
    saved(tiny_model("gemma3"), tmp_path / "models/gemma-3-270m")
    shape = find_shape("gemma-3-270m", CATALOG.models["gemma-3-270m"], tmp_path, tmp_path)
    assert (shape.hidden, shape.total) == (48, tiny_model("gemma3").num_parameters())


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"model_type": "gpt2"}', '{"model_type": "llama", "hidden_size": "wide"}']
)
def test_a_config_that_says_nothing_is_passed_over(tmp_path, text: str) -> None:
    (tmp_path / "models/phi-1.5").mkdir(parents=True)
    (tmp_path / "models/phi-1.5/config.json").write_text(text)
    assert find_shape("phi-1.5", CATALOG.models["phi-1.5"], tmp_path, tmp_path).total == 1418270720
    assert find_shape("other", None, tmp_path, tmp_path) is None


@given(st.integers(1, 400), st.floats(0.1, 4), st.integers(1, 64))
@settings(max_examples=50, deadline=None)
def test_steps_are_those_of_the_training(count: int, epochs: float, batch: int) -> None:
    method = TrainSettings(kind="full", epochs=epochs, batch_size=batch)
    assert work.count_steps(count, method) == len(order(count, method))


TEXTS = ["the cat and the dog", "a", "they said that they were there and then they were not. " * 6, "the dog. " * 30]


@pytest.mark.parametrize("max_length", [2048, 60])
def test_lengths_are_those_of_the_training(tmp_path, max_length: int) -> None:
    rows = [
        {"id": f"{i:016x}", "instruction": TEXTS[i % 4], "response": TEXTS[i * 3 % 4], "source": "t", "row": i}
        for i in range(40)
    ]
    write_parquet(rows, INSTANCES, tmp_path / "data.parquet")
    tokenizer = byte_tokenizer(" ".join(TEXTS))
    tokenizer.save_pretrained(tmp_path)
    template = "Say: {instruction} So:"
    import pyarrow.parquet as pq

    instances, counts = tokenize(pq.read_table(tmp_path / "data.parquet"), tokenizer, template, max_length, quiet=True)
    estimate = work.measure_lengths(tmp_path / "data.parquet", template, tmp_path / "tokenizer.json", max_length)
    lengths = [len(instance.tokens) for instance in instances]
    if counts["dropped_prompt_too_long"] == 0:
        assert estimate.mean == pytest.approx(sum(lengths) / len(lengths))
        assert estimate.trained == pytest.approx(
            sum(n - i.trained_from for n, i in zip(lengths, instances, strict=True)) / 40
        )
        assert estimate.mean_square == pytest.approx(sum(n * n for n in lengths) / len(lengths))
    assert estimate.longest == max(lengths)
    without = work.measure_lengths(tmp_path / "data.parquet", template, tmp_path / "no.json", max_length)
    assert without.source == "data/characters"
    assert without.longest <= max_length


@given(st.floats(1, 5000), st.floats(1, 5000), st.integers(2, 4096))
def test_a_guess_keeps_within_max_length(instruction: float, response: float, max_length: int) -> None:
    estimate = work.guess_lengths(MeanTokens(instruction=instruction, response=response), "x {instruction}", max_length)
    assert 0 < estimate.trained <= estimate.mean <= estimate.longest <= max_length


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "mistral", "phi"])
@pytest.mark.parametrize("kind", KINDS)
def test_operations_are_those_that_torch_counts(architecture: str, kind: str) -> None:
    """Layers at the very bottom need no gradient of their inputs where nothing below is trained: one product in 6 layers."""
    if kind == "bias" and architecture != "phi":
        pytest.skip("has no biases")
    changes = {"layer_types": ["full_attention"] * 6} if architecture == "gemma3" else {}
    model = tiny_model(architecture, num_hidden_layers=6, **changes)
    model.set_attn_implementation(PACKED)
    shape = Shape(architecture_of(model))
    method = TrainSettings(kind=kind, lora_rank=4)
    module = apply_method(model, method).train()
    sequences = [list(range(2, 66)), list(range(2, 34))]
    inputs = pack(sequences) | {"logits_to_keep": torch.arange(0, 96, 3)}
    counter = FlopCounterMode(display=False)
    with counter:
        HeadLoss(module)(module, inputs, torch.full((32,), 5)).backward()
    linear = sum(n for op, n in counter.get_flop_counts()["Global"].items() if op.__name__ in ("mm", "addmm", "bmm"))
    if kind == "full":
        linear += 2 * 2 * shape.head * 32  # both gradients of the head: addmm_, which the counter does not know
    expected = work.count_flops(shape, method, 96, 32, 0, False)[0]
    assert linear == pytest.approx(expected, rel=1e-9 if kind == "full" else 0.10)


def test_full_tuning_is_6n_per_token_and_attention_is_palms() -> None:
    shape, full = Shape(CATALOG.models["llama-2-7b"].architecture), TrainSettings(kind="full")
    body = work.count_flops(shape, full, 1, 0, 0, False)[0]
    assert body == 6 * shape.body
    tokens, length = 2048 * 10, 2048
    attention = work.count_flops(shape, full, tokens, 0, tokens * length, False)[0] - tokens * body
    assert attention == pytest.approx(12 * 32 * 4096 * length * tokens)
    recomputed = work.count_flops(shape, full, 1, 0, 0, True)[1]
    assert recomputed == 2 * shape.body


def test_lora_is_counted_as_lora() -> None:
    shape = Shape(CATALOG.models["llama-2-7b"].architecture)
    share = (
        work.count_flops(shape, TrainSettings(kind="lora"), 1000, 500, 0, False)[0]
        / work.count_flops(shape, TrainSettings(kind="full"), 1000, 500, 0, False)[0]
    )
    assert 0.66 < share < 0.68
