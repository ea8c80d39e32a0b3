"""The API key: from the environment into the request's header, and nowhere else."""

import os
from urllib.parse import urlsplit

from closerlook.core.errors import CloserlookError

OPENAI_HOST = "api.openai.com"
SHORTEST = 8
"""Characters from which on a key is a secret; local servers take any word ("EMPTY")."""


class Secret:
    """An API key that does not show itself: not in a repr, and not in a text that went through `hide`."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(...)"

    def reveal(self) -> str:
        """The key, for the one who sends it."""
        return self._value

    def hide(self, text: str) -> str:
        """The text without the key: servers quote what they were sent."""
        return text.replace(self._value, "[API key]") if len(self._value) >= SHORTEST else text


def read_key(variable: str, base_url: str) -> Secret:
    """The key in an environment variable. Raises CloserlookError where there is none that can be sent.

    Only OpenAI itself, or a variable that the catalog names, must have one: a server of one's own often takes none.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        shown = base_url.rpartition("@")[2]
        raise CloserlookError(f"base_url: found {shown!r}, expected http(s)://host/path without a user or a password")
    key = os.environ.get(variable, "").strip()
    if not key and (parts.hostname == OPENAI_HOST or variable != "OPENAI_API_KEY"):
        raise CloserlookError(
            f"{variable}: is not set; it holds the API key for {parts.hostname}. export {variable}=..."
        )
    if not key.isascii() or not key.isprintable():
        raise CloserlookError(f"{variable}: holds characters that cannot be part of an API key")
    return Secret(key or "none")
