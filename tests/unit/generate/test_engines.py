"""Other engines than closerlook's own: the same tokens, ended by the same rules; vLLM is a pretended one."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.support.pretended_vllm import VERSION, PretendedVllm
from tests.support.responses import TEMPLATE, hidden_parts, put_inputs
from tests.support.tiny_models import ARCHITECTURES, byte_tokenizer, save_adapter_and_merged, saved, tiny_model

import closerlook
from closerlook.config.settings import GenerateSettings
from closerlook.core.errors import CloserlookError, failure_reason
from closerlook.core.schemas import RESPONSES
from closerlook.generate import responses as module
from closerlook.generate.decoding import Decoder
from closerlook.generate.engines import choose_engine
from closerlook.generate.ragged_cache import RAGGED
from closerlook.generate.response import new_response
from closerlook.generate.responses import generate
from closerlook.generate.transformers_engine import TransformersEngine
from closerlook.generate.vllm_engine import _prepare_environment
from closerlook.models.logits import Network

PROMPTS = [[0, *range(5, 5 + length)] for length in (30, 3, 0, 12, 60, 7)]
EOS = 1


def answer(folder: Path, name: str, *, tuned: Path | None = None, engine: Any = "auto", gpus: int = 1, **settings: Any):
    options = GenerateSettings(**{"max_new_tokens": 12} | settings)
    inputs = (folder / "base", tuned, folder / "evalset.parquet", TEMPLATE)
    generate(*inputs, options, folder / name, 3, "auto", gpus=gpus, engine=engine)
    table = pq.read_table(folder / name)
    assert table.schema.equals(RESPONSES)
    return table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put_inputs(tmp_path)
    save_adapter_and_merged(tmp_path)
    return tmp_path


def pretended(folder: Path, **options: Any) -> PretendedVllm:
    """A vLLM that gives the tokens of closerlook's own engine, with the end token, and a few more where there is none."""
    rows = answer(folder, "own.parquet", max_new_tokens=30).to_pylist()
    ends = {"eos": [EOS], "length": []}
    tokens = {tuple(row["prompt_token_ids"]): row["token_ids"] + ends[row["finish_reason"]] for row in rows}
    return PretendedVllm(lambda prompt: tokens[tuple(prompt)], **options)


def test_vllm_answers_like_the_own_engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = answer(folder, "x.parquet", max_new_tokens=30).to_pylist()[3]["text"][4:6]
    own = {
        "plain": answer(folder, "plain.parquet"),
        "cut": answer(folder, "cut.parquet", max_new_tokens=30, stop=[stop]),
    }
    assert own["plain"].schema.metadata[b"engine"] == b"closerlook"
    assert own["plain"].schema.metadata[b"engine_version"] == closerlook.__version__.encode()
    assert own["plain"].schema.metadata[b"dtype"] == b"float32"
    vllm = pretended(folder)
    vllm.install(monkeypatch)
    plain = answer(folder, "plain.parquet", gpus=4)
    assert plain.to_pylist() == own["plain"].to_pylist()
    metadata = {key.decode(): value.decode() for key, value in plain.schema.metadata.items()}
    assert metadata.items() >= {"engine": "vllm", "engine_version": VERSION, "dtype": "bfloat16"}.items()
    assert answer(folder, "cut.parquet", max_new_tokens=30, stop=[stop]).to_pylist() == own["cut"].to_pylist()
    assert "stop" in own["cut"]["finish_reason"].to_pylist()
    args = vllm.started[0]
    assert (args.model, args.tokenizer, args.dtype) == (str(folder / "base"), str(folder / "base"), "bfloat16")
    assert (args.tensor_parallel_size, args.enable_lora) == (4, False)
    longest = max(len(row["prompt_token_ids"]) for row in plain.to_pylist())
    assert args.max_model_len == longest + 12
    assert all(params.temperature == 0 and EOS in params.stop_token_ids for params, _ in vllm.requests.values())


def test_vllm_with_an_adapter_and_with_full_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm = pretended(folder)
    vllm.install(monkeypatch)
    answer(folder, "r.parquet", tuned=folder / "adapter")
    rank = json.loads((folder / "adapter/adapter_config.json").read_text())["r"]
    args, (_, lora) = vllm.started[-1], next(iter(vllm.requests.values()))
    assert (args.model, args.enable_lora) == (str(folder / "base"), True)
    assert args.max_lora_rank == max(8, rank)
    assert lora is not None
    assert lora.lora_path == str(folder / "adapter")
    answer(folder, "s.parquet", tuned=folder / "merged")
    assert (vllm.started[-1].model, vllm.started[-1].tokenizer) == (str(folder / "merged"), str(folder / "base"))
    assert next(iter(vllm.requests.values()))[1] is None


def test_each_sampled_response_has_its_own_seed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm = pretended(folder)
    vllm.install(monkeypatch)
    seeds = []
    for seed in (0, 0, 5):
        answer(folder, "r.parquet", temperature=0.7, top_p=0.9, seed=seed)
        parameters = {id: params for id, (params, _) in vllm.requests.items()}
        assert {(params.temperature, params.top_p) for params in parameters.values()} == {(0.7, 0.9)}
        seeds.append({id: params.seed for id, params in parameters.items()})
        (folder / "r.parquet").unlink()
    assert seeds[0] == seeds[1]
    assert len({*seeds[0].values(), *seeds[2].values()}) == 2 * len(seeds[0])
    assert all(seed is not None and 0 <= seed < 1 << 63 for seed in seeds[0].values())


def test_vllm_killed_goes_on_with_what_was_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 2)
    vllm = pretended(folder)
    vllm.install(monkeypatch)
    whole = answer(folder, "responses.parquet").to_pylist()
    (folder / "responses.parquet").unlink()
    vllm.dies_after = 5
    with pytest.raises(KeyboardInterrupt):
        answer(folder, "responses.parquet")
    kept = len(hidden_parts(folder))
    assert kept
    vllm.requests.clear()
    vllm.dies_after = 1 << 30
    assert answer(folder, "responses.parquet").to_pylist() == whole
    assert len(vllm.requests) <= len(whole) - 2 * kept + 1


def test_another_engine_is_another_identity(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(module, "compute_in_parts", lambda *arguments: seen.append(arguments[-1]))
    pq.write_table(RESPONSES.empty_table(), folder / "r.parquet")
    for engine in ("auto", "closerlook", "transformers"):
        answer(folder, "r.parquet", engine=engine)
    assert seen[0] == seen[1] != seen[2]


def test_what_vllm_cannot_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CloserlookError, match=r"--engine: found vllm, but vLLM is not installed.*expected auto"):
        choose_engine("vllm", None)
    assert choose_engine("auto", None) == "closerlook"
    PretendedVllm(lambda prompt: []).install(monkeypatch)
    assert choose_engine("auto", folder / "adapter") == choose_engine("vllm", None) == "vllm"
    file = folder / "adapter/adapter_config.json"
    plain = json.loads(file.read_text())
    for change in ({"bias": "all"}, {"modules_to_save": ["lm_head"]}, {"use_dora": True}, {"r": 1024}):
        file.write_text(json.dumps(plain | change))
        assert choose_engine("auto", folder / "adapter") == "closerlook"
        with pytest.raises(CloserlookError, match="--engine: found vllm, but vLLM"):
            choose_engine("vllm", folder / "adapter")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CloserlookError, match="no GPU"):
        choose_engine("vllm", None)


def test_vllm_sees_the_gpus_of_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    PretendedVllm(lambda prompt: []).install(monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,6,5,4,3,2,1,0")
    _prepare_environment(2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7,6,5,4,3,2,1,0", "a single process has them all"
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    _prepare_environment(2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,2"
    assert "TORCHELASTIC_USE_AGENT_STORE" not in os.environ


def test_an_engine_that_just_ends_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PretendedVllm(lambda prompt: [5, 6]).install(monkeypatch)
    with pytest.raises(CloserlookError, match=r"response q\d: vLLM ended it after 2 of 12 tokens"):
        answer(folder, "r.parquet")


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "adapter"])
def test_transformers_answers_like_the_own_engine(architecture: str) -> None:
    model: Any = tiny_model("llama" if architecture == "adapter" else architecture)
    model.generation_config.eos_token_id = [1, *range(200, 212)]
    if architecture == "adapter":
        torch.manual_seed(0)
        model = get_peft_model(model, LoraConfig(target_modules="all-linear", init_lora_weights=False)).eval()
    causal = model.get_base_model() if architecture == "adapter" else model
    settings = GenerateSettings(max_new_tokens=30, stop=["the"])

    def made():
        return [new_response(f"p{number}", prompt, 256, 30) for number, prompt in enumerate(PROMPTS)]

    causal.set_attn_implementation("sdpa")
    found, expected = made(), made()
    ended = list(TransformersEngine(model, byte_tokenizer(), settings, 3).respond(found))
    causal.set_attn_implementation(RAGGED)
    list(Decoder(Network(model), byte_tokenizer(), settings, 3).respond(expected))
    assert found == expected
    assert len(ended) == len(found)
    assert any(len(response.token_ids) > 3 for response in found)


def test_transformers_refuses_what_it_cannot_repeat_and_tells_its_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    with pytest.raises(CloserlookError, match=r"--temperature: found 0.5, expected 0"):
        TransformersEngine(model, byte_tokenizer(), GenerateSettings(temperature=0.5), 2)

    def fails(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model.set_attn_implementation("sdpa")
    monkeypatch.setattr(model, "forward", fails)
    engine = TransformersEngine(model, byte_tokenizer(), GenerateSettings(max_new_tokens=4), 2)
    with pytest.raises(RuntimeError) as caught:
        list(engine.respond([new_response("a", [0, 5], 256, 4)]))
    assert failure_reason(caught.value) == "out of memory"


def test_the_whole_stage_with_transformers(folder: Path) -> None:
    saved(tiny_model("gemma3"), folder / "base", byte_tokenizer())
    own = answer(folder, "own.parquet", engine="closerlook")
    other = answer(folder, "other.parquet", engine="transformers")
    assert other.to_pylist() == own.to_pylist()
    assert other.schema.metadata[b"engine"] == b"transformers"
