from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.privilege.vault import policy

if TYPE_CHECKING:
    from countersign.identity import Power

ADMIN = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ADMIN, "administrator"),
        ('path "*" { policy = "write" }', "administrator"),
        ('path "*" { capabilities = ["read", "list"] }', "limited"),
        ('path "*" { capabilities = ["sudo"] }\npath "*" { capabilities = ["deny"] }', "limited"),
        ('path "+/*" { capabilities = ["create", "update", "delete",] }', "administrator"),
        ('# path "*" is not for you\npath "a" { capabilities = ["sudo"] }', "limited"),
        ('path "sys/policies/acl/*" { capabilities = ["update"] }', "administrator"),
        ('{"path": {"*": {"capabilities": ["sudo"]}}}', "administrator"),
        ('path "\\u002a" { capabilities = ["sudo"] }', "administrator"),
        ('path "*" { capabilities = [', None),
        ("", "limited"),
    ],
)
def test_an_administrator_is_told_by_the_policy(text: str, expected: Power | None) -> None:
    assert policy("p", text).power == expected


@given(st.text(alphabet='path"*+/{}[]=,\\ \n#:', max_size=40))
def test_no_policy_text_breaks_the_reading(text: str) -> None:
    assert policy("p", text).power in {"administrator", "escalation", "limited", None}
