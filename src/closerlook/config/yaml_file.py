"""YAML files that people write: a mapping in which no key is repeated."""

from pathlib import Path
from typing import Any

import yaml

from closerlook.core.errors import CloserlookError


def read_yaml(file: Path, named: str) -> dict[str, Any]:
    """A YAML mapping. Raises CloserlookError for a missing file, for invalid YAML and for a repeated key."""
    try:
        value = yaml.load(file.read_text(encoding="utf-8"), Loader=_OnceLoader)
    except OSError as error:
        raise CloserlookError(f"{named}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CloserlookError(f"{named}: is not valid YAML: {error}") from None
    if not isinstance(value, dict):
        raise CloserlookError(f"{named}: found {type(value).__name__}, expected a mapping of keys to values")
    return value


class _OnceLoader(yaml.SafeLoader):
    """A loader that refuses a repeated key. YAML itself keeps the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.YAMLError(f"the key {key} is repeated{key_node.start_mark}")
            seen.add(key)
        return super().construct_mapping(node, deep)
