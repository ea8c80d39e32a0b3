"""Clients of language models that answer requests: API endpoints and local chat models, with cache, budget and pace."""
