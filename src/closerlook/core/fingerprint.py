"""The one fingerprint: what a result depends on, as a digest.

Rules, the supervisor of a job, checkpoints, resumable parts, embeddings and the manifest of a cell all compare this digest: a
result made under another one is never taken for the same.
"""

import hashlib
import json
from typing import Any


def fingerprint(**facts: Any) -> str:
    """SHA-256, in hex, of named facts: JSON values, or objects that have a text (a path, a dtype). Their order is ignored."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
