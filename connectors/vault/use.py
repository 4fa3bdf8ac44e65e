"""When a token, secret-id, role, user or entity was last used: by the server's audit log where one is given, else unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from countersign.clock import stamp

if TYPE_CHECKING:
    from datetime import datetime

    from connectors.vault.audit_log import Sightings
    from countersign.identity import UseState

ONLY_AUDIT = "only the audit log knows when it was last used"


@dataclass(frozen=True, slots=True)
class Use:
    """When something was last used, as far as is known."""

    at: datetime | None = None
    state: UseState = "unknown"
    seen_to: datetime | None = None
    """Time of the log's last entry; None where use is unknown."""
    why: str = ONLY_AUDIT
    """Why it is unknown, where it is."""

    def unknown(self, name: str) -> dict[str, str]:
        """Give the reason under the name of a record's field; nothing where use is known."""
        return {name: self.why} if self.state == "unknown" else {}


@dataclass(slots=True)
class Uses:
    """What an audit log says of each thing that was searched for; until one is read, all use is unknown."""

    why: str = ONLY_AUDIT
    """Why there is no log."""
    log: Sightings | None = None
    _asked: frozenset[str] = field(default_factory=frozenset)
    _issued: frozenset[str] = field(default_factory=frozenset)

    def learn(self, log: Sightings) -> None:
        """Answer from this log from now on."""
        self.log = log
        self._asked = frozenset((*log.tokens.values(), *log.secret_ids.values()))
        self._issued = frozenset(log.issued.values())

    def token(self, accessor: str, created_at: datetime | None) -> Use:
        """Say when a token was last used; that it was made is no use of it."""
        return self._of(self.log.token_used.get(accessor) if self.log else None, created_at, asked=accessor in self._asked)

    def secret_id(self, accessor: str, created_at: datetime | None, *, mount: str, role: str) -> Use:
        """Say when somebody last logged in with a secret-id of a role; `mount` is the accessor of its auth mount.

        A login shows the hash of the secret-id and not its accessor; only the entry of its issuing shows the two together.
        """
        log, asked = self.log, accessor in self._asked
        if log is None or not asked or accessor in self._issued:
            return self._of(log.secret_id_used.get(accessor) if log else None, created_at, asked=asked)
        login = log.logins.get((mount, role))
        if not log.vague and (login is None or (created_at is not None and login < created_at)):
            return self._of(None, created_at)
        return Use(why="its issuing is not in the audit log, so its logins cannot be told from those of the role's other secret-ids")

    def entity(self, entity_id: str, created_at: datetime | None) -> Use:
        """Say when an entity last logged in or did anything, also with a batch token."""
        return self._of(self.log.entity_used.get(entity_id) if self.log else None, created_at)

    def login(self, mount: str, name: str, *, entity_id: str | None = None) -> Use:
        """Say when somebody last logged in as a role or user, or acted as the entity that stands for it alone."""
        if self.log is None:
            return self._of(None, None)
        seen = (self.log.logins.get((mount, name)), self.log.entity_used.get(entity_id or ""))
        return self._of(max((at for at in seen if at), default=None), None)

    def holder(self, lease: str) -> tuple[str | None, str | None]:
        """Give the (accessor of a token, entity id) that a lease was given to; None for what is not known."""
        return self.log.holders.get(lease, (None, None)) if self.log else (None, None)

    def _of(self, at: datetime | None, created_at: datetime | None, *, asked: bool = True) -> Use:
        log = self.log
        if log is None:
            return Use(why=self.why)
        if at is not None:
            return Use(at, "known", log.ends)
        doubts = [*log.doubts, *([f"{log.broken} lines of it cannot be read"] if log.broken else [])]
        if asked and not doubts and created_at is not None and log.begins is not None and created_at >= log.begins:
            return Use(None, "never", log.ends)
        if not asked:
            return Use(why="the audit log was not searched for it: it is newer, or its accessor could not be hashed")
        since = f" since {stamp(log.begins)}" if log.begins else ", whose beginning is not known"
        return Use(why="; ".join([f"not seen in the audit log{since}", *doubts]))
