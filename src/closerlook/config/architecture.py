"""The shape of a model, with the keys of its config.json, for estimates of parameters, arithmetic and memory."""

from typing import Literal

from pydantic import Field

from closerlook.config.settings import Settings


class Architecture(Settings):
    """The shape of a decoder. The keys can be copied from the model's config.json."""

    model_type: Literal["llama", "mistral", "qwen3", "gemma3_text", "phi"] = Field(
        description="model family, which decides norms, biases and the kind of feed-forward layer"
    )
    hidden_size: int = Field(gt=0, description="width of the model")
    intermediate_size: int = Field(gt=0, description="width of the feed-forward layers")
    num_hidden_layers: int = Field(gt=0, description="transformer layers")
    num_attention_heads: int = Field(gt=0, description="query heads")
    num_key_value_heads: int | None = Field(
        None, gt=0, description="key and value heads; null for as many as query heads"
    )
    head_dim: int | None = Field(None, gt=0, description="width of a head; null for hidden_size / num_attention_heads")
    vocab_size: int = Field(gt=0, description="number of tokens in the vocabulary")
    tie_word_embeddings: bool | None = Field(
        None, description="whether embedding and LM head share one matrix; null for the family's default"
    )
    attention_bias: bool = Field(False, description="biases in the attention's linear layers (Llama)")
    mlp_bias: bool = Field(False, description="biases in the feed-forward layers (Llama)")
    dtype: Literal["float32", "float16", "bfloat16"] = Field("bfloat16", description="precision of the weight files")
