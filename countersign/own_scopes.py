"""What a source was last found to hold, so that the customer's own accounts are no strangers on a night when nobody lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from countersign.reading import Scope

Held = tuple[str, str]
"""Provider and name of a scope."""
_FILE = "scopes.json"


def closed(scopes: Iterable[Scope]) -> frozenset[Held]:
    """Give what was found beside the scopes and is not to be read."""
    return frozenset((scope.provider, name) for scope in scopes for name in scope.detail.get("own", "").split(",") if name)


def remember(folder: Path, held: Iterable[Held]) -> None:
    """Keep what a source holds in its folder, in place of what was kept before; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{_FILE}.part"
    part.write_bytes(orjson.dumps(sorted(held)))
    part.replace(folder / _FILE)


def recall(folder: Path) -> frozenset[Held]:
    """Give what was kept; nothing where nothing was, or it cannot be read any more."""
    try:
        return frozenset((str(provider), str(name)) for provider, name in orjson.loads((folder / _FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return frozenset()
