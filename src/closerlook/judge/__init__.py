"""Judges: multi-aspect scores of responses, each with its reason or the cause of its absence."""
