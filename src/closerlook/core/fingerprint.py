"""A digest of everything a result depends on.

Rules, job supervision, checkpoints, resumable parts, embeddings and cell manifests compare it before they reuse a result.
"""

import hashlib
import json
from typing import Any


def fingerprint(**facts: Any) -> str:
    """SHA-256 hex digest of named values: JSON values, or objects with a string form (a path, a dtype). Order does not count."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
