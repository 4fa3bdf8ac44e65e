"""The register as one page that needs nothing else: who answers for what, by control, by person and by partner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.register.matrix import WORDS, compact, of_partner, of_person, spoken
from countersign.report import template

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.register.matrix import Matrix
    from countersign.register.records import Register


def write(path: Path, register: Register, seen: Matrix) -> None:
    """Write the page to `path`. Raises OSError where that is not possible."""
    named = {column.id for column in seen.columns}
    people = [*(column.id for column in seen.columns if column.kind != "partner"), *(ref for ref in register.people if ref not in named)]
    template("matrix.html.j2").stream(
        register=register,
        seen=seen,
        words=WORDS,
        compact=compact,
        spoken=spoken,
        people=[of_person(register, seen, ref) for ref in people],
        partners=[of_partner(register, seen, partner) for partner in register.partners],
        own=[entry for entry in register.workloads.values() if entry.partner is None],
        live=register.live,
    ).dump(str(path), encoding="utf-8")
