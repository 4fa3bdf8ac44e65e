"""What became of a partner's access once its contract had ended: gone only by a night that read every scope which had held any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from countersign.inventory import sql_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    import duckdb

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """One night's view of the identities that were ever a partner's."""

    as_of: datetime
    live: int
    """Of them, those that the night saw and that were not switched off."""
    theirs: int
    """Of the live ones, those that were attributed to the partner on that night."""
    read: bool
    """Whether each scope that ever held one was read whole."""
    unread: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the table `offboardings`, but for names."""

    identities_at_end: int | None
    last_seen: datetime | None
    gone_on: date | None
    days_to_gone: int | None
    left_over: int | None
    state: Literal["gone", "still there", "unknown"]
    why: str | None


def outcome(looks: Sequence[Look], ended_on: date, over: datetime) -> Outcome:
    """Say what became of a partner's identities, from the nights in order. `over`: when the contract's last day was over.

    They are gone by the first night after the last one that saw any, if it read everything; until then nobody knows.
    """
    before = [look for look in looks if look.as_of < over]
    at_end = before[-1].live if before else None
    seen = [look for look in looks if look.live]
    last_seen = seen[-1].as_of if seen else None
    left = looks[-1].live if looks else None
    if not looks:
        return Outcome(at_end, None, None, None, None, "unknown", "no night of the period holds an inventory")
    if left and looks[-1].as_of < over:
        why = f"no night was judged after the contract had ended; {left} live on the last one before"
        return Outcome(at_end, last_seen, None, None, None, "unknown", why)
    if left:
        strangers = left - looks[-1].theirs
        why = f"{left} live on the last night" + (f", {strangers} of them not attributed to the partner any more" if strangers else "")
        return Outcome(at_end, last_seen, None, None, left, "still there", why)
    after = looks if last_seen is None else [look for look in looks if look.as_of > last_seen]
    gone = next((look for look in after if look.read), None)
    if gone is None:
        unread = ", ".join(" ".join(place) for place in looks[-1].unread[:3]) or "a scope that held them"
        why = f"none was seen on the last night, but no night since read whole what had held them; not read: {unread}"
        return Outcome(at_end, last_seen, None, None, None, "unknown", why)
    day = gone.as_of.date()
    return Outcome(at_end, last_seen, day, max(0, (day - ended_on).days), left, "gone", None)


def looks(
    db: duckdb.DuckDBPyConnection, partners: Sequence[str], read: Mapping[int, frozenset[Place]], nights: Mapping[int, datetime]
) -> Iterator[tuple[str, tuple[Look, ...]]]:
    """Yield each partner that anything was attributed to in the period, with what the nights saw of it.

    Uses the views `every_verdict` and `identities`. `read`: run to the scopes that it read whole; `nights`: run to its moment, for
    those that hold an inventory.
    """
    if not partners:
        return
    listed = ", ".join(sql_text(partner) for partner in partners)
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE ever AS SELECT DISTINCT partner, subject AS uid FROM every_verdict
        WHERE subject_kind = 'identity' AND partner IN ({listed});
        CREATE OR REPLACE TEMP TABLE held AS
        SELECT e.partner, i.uid, i.sequence, i.provider, i.scope, i.enabled IS DISTINCT FROM FALSE AS is_live
        FROM identities i JOIN ever e USING (uid) WHERE i.sequence IN (SELECT sequence FROM entry WHERE is_night)""")
    places: dict[str, set[Place]] = {}
    for partner, provider, scope in db.execute("SELECT DISTINCT partner, provider, scope FROM held ORDER BY ALL").fetchall():
        places.setdefault(partner, set()).add((provider, scope))
    counts = {
        (partner, sequence): (live, theirs)
        for partner, sequence, live, theirs in db.execute("""
            SELECT h.partner, h.sequence, count(*), count(v.subject)
            FROM held h LEFT JOIN every_verdict v ON v.sequence = h.sequence AND v.subject = h.uid AND v.partner = h.partner
            WHERE h.is_live GROUP BY h.partner, h.sequence""").fetchall()
    }
    for partner in sorted(places):
        yield (
            partner,
            tuple(
                Look(
                    nights[number],
                    *counts.get((partner, number), (0, 0)),
                    not (unread := places[partner] - read.get(number, frozenset())),
                    tuple(sorted(unread)),
                )
                for number in sorted(nights)
            ),
        )
