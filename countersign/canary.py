"""What the core asks of a connector for a drill: identities made for it in a scope set aside, broken on purpose, and removed again."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from countersign.errors import CountersignError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from countersign.programme import Source
    from countersign.reading import Scope

PREFIX = "countersign-drill-"
"""Beginning of the name of everything that a drill makes, by which what a killed drill left is found and removed."""
PARTNER = "countersign-drill"
"""Id of the partner that stands for a drill; it is never in the register on disk."""
ENVIRONMENT = "COUNTERSIGN_DRILL_"
"""Beginning of the environment variables with the credentials of the identity that makes and removes canaries, a third one."""


class CanaryError(CountersignError):
    """A canary could not be made or removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One canary."""

    uid: str
    """Subject of the identity, as the connector will read it."""
    name: str
    breaks: tuple[str, ...]
    """Controls that it, or a credential of it, has to fail."""
    credential: str | None = None
    """Subject of its credential; None: it has none that could be tried."""
    secret: str | None = field(default=None, repr=False)
    """What the credential proves itself with, for the negative proof; kept in memory only."""


class Planter(Protocol):
    """One scope set aside for drills, entered by the identity that makes canaries. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def plant(self, drill: str) -> Iterator[Planted]:
        """Make the canaries, each named PREFIX + `drill` + what it is, and yield each once it is there; raises CanaryError."""
        ...

    def remove(self) -> tuple[str, ...]:
        """Remove everything in the scope whose name begins with PREFIX, and return their names; raises CanaryError for what stays."""
        ...


def planter(provider: str, source: Source, scope: Scope, *, now: Callable[[], datetime]) -> Planter:
    """Enter a scope with `connectors/<provider>`; raises CanaryError for a source where no canary can be made."""
    module = importlib.import_module(f"connectors.{provider}")
    if not hasattr(module, "planter"):
        raise CanaryError(f"a source of kind {provider} can only be read", fix="name a source of a cloud or Vault under `drill:`")
    return cast("Planter", module.planter(source, scope, now=now))


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the drill identity's variables under the SDK's own names: `COUNTERSIGN_DRILL_VAULT_TOKEN` as `VAULT_TOKEN`."""
    return {name.removeprefix(ENVIRONMENT): value for name, value in variables.items() if name.startswith(ENVIRONMENT) and value}
