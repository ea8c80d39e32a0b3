"""Tiny random models and a byte-level tokenizer, made on the spot: what the tests of generation and shift run on."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SMALL = {
    "vocab_size": 320,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
    "tie_word_embeddings": False,
}
ARCHITECTURES = ["llama", "gemma3", "mistral", "phi", "qwen3"]


def tiny_model(architecture: str = "llama", seed: int = 0, **changes) -> PreTrainedModel:
    """A random model whose attention is strong enough for its tokens to hang on the whole context."""
    torch.manual_seed(seed)
    options = SMALL | changes
    if architecture == "llama":
        model = LlamaForCausalLM(LlamaConfig(**{"num_key_value_heads": 2} | options))
    elif architecture == "mistral":
        model = MistralForCausalLM(MistralConfig(**{"num_key_value_heads": 2, "sliding_window": 12} | options))
    elif architecture == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**{"num_key_value_heads": 2, "head_dim": 12} | options))
    elif architecture == "phi":
        model = PhiForCausalLM(PhiConfig(**options))
    else:
        layers = ["sliding_attention", "full_attention", "sliding_attention"]
        extra = {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": 8, "layer_types": layers}
        model = Gemma3ForCausalLM(Gemma3TextConfig(**extra | options))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
            else:
                parameter.normal_(0, 0.1 if "embed" in name else 0.3)
    return model.eval()


def byte_tokenizer(text: str = "", size: int = 320) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on `text`: any bytes are tokens, so characters can be cut anywhere."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text or "the cat and the dog said that they were there. " * 3], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def saved(model: PreTrainedModel, folder: Path, tokenizer: PreTrainedTokenizerFast | None = None) -> Path:
    """The folder, with the model and, where given, its tokenizer in it."""
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder


def save_adapter_and_merged(folder: Path) -> None:
    """A random adapter on the tiny model in adapter/, and the weights that it makes of the model in merged/."""
    torch.manual_seed(3)
    adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.2)
    adapted.save_pretrained(folder / "adapter")
    saved(adapted.merge_and_unload(), folder / "merged")
