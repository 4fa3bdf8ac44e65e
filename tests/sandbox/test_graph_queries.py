"""The pure parts of the local Graph: page tokens, filters, and the queries of Resource Graph."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.graph import kql, odata


@given(st.integers(0, 10**9 - 1))
def test_a_page_token_gives_its_place_back(place: int) -> None:
    assert odata.offset(odata.token(place)) == place


@given(st.text(st.sampled_from("abx/ ()',:t'eqnortand0123-|="), max_size=40))
@example("a/any(t:t eq 'x'")
@example("((((")
def test_whatever_is_asked_is_understood_or_refused(text: str) -> None:
    table: dict[str, Any] = {"a": {"x": {"id": "x", "a": [1]}}}
    try:
        held: object = odata.filter_(text).holds({"a": [{"b": 1}, "x", None], "b": "x"})
    except odata.QueryError:
        held = False
    assert held in {True, False}
    for query in (text, f"a | where {text}", f"a | project {text}"):
        try:
            found = kql.run(query, table)
        except kql.KqlError:
            found = []
        assert len(found) <= len(table["a"])


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "Y", "it's"])),
    st.sampled_from("abc"),
    st.sampled_from(["x", "y", "it's"]),
)
def test_a_filter_means_what_it_says(found: dict[str, str], name: str, wanted: str) -> None:
    literal = "'" + wanted.replace("'", "''") + "'"
    same = found.get(name, "").casefold() == wanted.casefold()
    assert odata.filter_(f"{name} eq {literal}").holds(found) is same
    assert odata.filter_(f"not ({name} eq {literal}) or {name} eq {literal}").holds(found) is True
    assert odata.filter_(f"{name} ne {literal}").holds(found) is not same
