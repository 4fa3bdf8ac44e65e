"""A plan that nobody has approved yet, and the moves of whoever wants it carried out all the same."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.acceptance.offboarding_estate import Kestrel
    from tests.acceptance.offboarding_programme import Programme

Fields = dict[str, Any]
REFUSED = 2
"""What docs/how-to/offboard-a-partner.md says of a refusal: nothing was changed."""


class Case:
    """An estate with a plan that nobody has approved yet."""

    def __init__(self, estate: Kestrel, programme: Programme) -> None:
        self.estate, self.programme = estate, programme
        self.plan = self.planned()
        self.before = estate.snapshot()
        self.statement = self.stated(self.plan, "ada")

    def planned(self) -> str:
        said = self.programme.plan()
        assert said.code == 0, said.err
        return str(said.json["id"])

    def stated(self, plan: str, who: str) -> Fields:
        said = self.programme.run("approve", plan, "--as", who, "--reason", "It is over.", "--statement")
        assert said.code == 0, said.err
        made: Fields = json.loads(said.out)
        return made

    @property
    def folder(self) -> Path:
        return self.programme.folder / "offboarding" / self.plan

    @contextmanager
    def approved(self, statement: Fields, key: str, name: str = "ada-1", namespace: str = "countersign") -> Iterator[None]:
        """Lay an approval beside the plan, as somebody does who can write there."""
        text = json.dumps(statement, separators=(",", ":"), sort_keys=True).encode()
        files = {
            self.folder / "approvals" / f"{name}.json": text,
            self.folder / "approvals" / f"{name}.sig": self.programme.keys[key].sign(text, namespace).encode(),
        }
        for path, content in files.items():
            path.write_bytes(content)
        yield
        for path in files:
            path.unlink()

    def refuses(self, why: str = "is not approved", *, environment: Mapping[str, str] | None = None, plan: str | None = None) -> str:
        """Apply, and give what it said, which holds `why`; nothing is changed anywhere."""
        said = self.programme.apply(plan or self.plan, environment=environment)
        assert self.estate.snapshot() == self.before
        assert said.code == REFUSED, said.err
        assert why in said.err
        return said.err
