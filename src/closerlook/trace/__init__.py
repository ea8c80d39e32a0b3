"""The training instances that a span or a shifted word can have come from, compared with chance."""
