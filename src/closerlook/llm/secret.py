"""The API key: read from the environment, sent in the request's header, and shown nowhere else."""

import os
from urllib.parse import urlsplit

from pydantic import SecretStr

from closerlook.core.errors import CloserlookError

OPENAI_HOST = "api.openai.com"
SHORTEST = 8
"""Characters of the shortest key that is a secret; local servers take any word ("EMPTY")."""


def redact(text: str, key: SecretStr) -> str:
    """Remove the key from a text: servers quote what they were sent."""
    return text.replace(key.get_secret_value(), "[API key]") if len(key) >= SHORTEST else text


def read_key(variable: str, base_url: str) -> SecretStr:
    """Return the key in an environment variable, or "none" if the server may work without one.

    A key is required for OpenAI itself, and if the catalog names a variable; local servers often take none. Raises
    CloserlookError for a missing or malformed key, and for a malformed URL.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        shown = base_url.rpartition("@")[2]
        raise CloserlookError(f"base_url: found {shown!r}, expected http(s)://host/path without a user or a password")
    key = os.environ.get(variable, "").strip()
    if not key and (parts.hostname == OPENAI_HOST or variable != "OPENAI_API_KEY"):
        raise CloserlookError(f"{variable}: is not set; export {variable}=... with the API key for {parts.hostname}")
    if not key.isascii() or not key.isprintable():
        raise CloserlookError(f"{variable}: holds characters that cannot be part of an API key")
    return SecretStr(key or "none")
