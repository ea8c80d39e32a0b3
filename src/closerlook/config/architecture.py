"""The shape of a model, in the words of its config.json: all that counting parameters, arithmetic and memory needs."""

from typing import Literal

from pydantic import Field

from closerlook.config.settings import Settings


class Architecture(Settings):
    """A decoder's shape. The keys are those of the model's config.json, from which they can be copied."""

    model_type: Literal["llama", "mistral", "qwen3", "gemma3_text", "phi"] = Field(
        description="family, which decides norms, biases and the kind of feed-forward layer"
    )
    hidden_size: int = Field(gt=0, description="width of the model")
    intermediate_size: int = Field(gt=0, description="width of the feed-forward layers")
    num_hidden_layers: int = Field(gt=0, description="transformer layers")
    num_attention_heads: int = Field(gt=0, description="query heads")
    num_key_value_heads: int | None = Field(
        None, gt=0, description="key and value heads; as many as query heads if none"
    )
    head_dim: int | None = Field(None, gt=0, description="width of a head; hidden_size / num_attention_heads if none")
    vocab_size: int = Field(gt=0, description="tokens of the vocabulary")
    tie_word_embeddings: bool | None = Field(
        None, description="one matrix serves as embedding and LM head; if none, as the family does it"
    )
    attention_bias: bool = Field(False, description="biases in the attention's linear layers (Llama)")
    mlp_bias: bool = Field(False, description="biases in the feed-forward layers (Llama)")
    dtype: Literal["float32", "float16", "bfloat16"] = Field("bfloat16", description="precision of the weight files")
