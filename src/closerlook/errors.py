"""The one exception that is meant for the person at the keyboard."""


class CloserlookError(Exception):
    """Something the user can mend. Its text says what was found, what was expected and what to do; no traceback is shown."""
