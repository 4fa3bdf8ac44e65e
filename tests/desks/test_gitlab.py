"""What only GitLab does: it tells of a state in more than one word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.desks.gitlab_standin import GitLabStandIn
from tests.desks.served import SERVICE
from tests.desks.test_desks import NAME, draft

if TYPE_CHECKING:
    import pytest


def test_only_closed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitLab's own examples have `opened` where its sources now write `reopened`; who did it is not known of what was imported."""
    monkeypatch.setenv("TRACKER_TOKEN", f"token-of-{SERVICE}")
    with GitLabStandIn() as server:
        made = server.desk().create(NAME, draft())
        for number, state in enumerate(("closed", "opened", "closed", "reopened")):
            at = f"2026-11-22T12:00:1{number}.000Z"
            server.states[1].append({"id": number, "state": state, "user": None, "created_at": at})
        happened = [(entry.actor, entry.what) for entry in server.desk().history(made.id)]
    assert happened == [(SERVICE, "created"), ("", "closed"), ("", "opened"), ("", "closed"), ("", "opened")]
