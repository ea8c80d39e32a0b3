"""The training instances that a span or a shifted word can have come from, with chance and other comparisons."""
