"""Base and tuned models: fetching, loading, packed forward passes, logits."""
