"""What instruction tuning changed in a language model, whether it was worth it, and where the new mistakes come from.

docs/architecture.md describes the packages. Stages meet only in files, whose schemas are in `closerlook.core.schemas`.
"""

__version__ = "0.2.0"
