"""Which namespaces of a server are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from connectors.vault.visit import PROVIDER
from countersign.reading import Scope

if TYPE_CHECKING:
    from countersign.programme import Source, VaultSource


def scopes(source: Source) -> tuple[Scope, ...]:
    """Name the configured namespace and each child named beside it; makes no call."""
    vault = cast("VaultSource", source)
    home = (vault.namespace or "").strip("/")
    children = tuple(child.strip("/") for child in vault.namespaces)
    return (
        Scope(vault.name, PROVIDER, vault.name, {"namespace": home}),
        *(Scope(vault.name, PROVIDER, f"{vault.name}/{child}", {"namespace": f"{home}/{child}".strip("/")}) for child in children),
    )
