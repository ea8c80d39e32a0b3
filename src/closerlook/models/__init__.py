"""Base and tuned models: fetch, load, packed forward passes, logits, text of tokens."""
