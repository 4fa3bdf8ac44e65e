"""How what a control found is put right: where to click, and what to type, for every control and kind of subject.

`acts.py` says which act puts a control right; one file for each provider says how that is done there to each kind of subject;
`register.py` has what is put right by us. A finding's own names and ids are put in by `filling.py`, which leaves a word in
capitals rather than write what it is not sure of.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from countersign.fixes import aws, azure, gcp, register, vault
from countersign.fixes.acts import ACTS, AT_LEAST, INSTEAD
from countersign.fixes.filling import Fix, filled
from countersign.fixes.subjects import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.finding import Known
    from countersign.fixes.acts import Act
    from countersign.fixes.subjects import Subject

__all__ = ["LAST", "Fix", "fix_of"]

LAST = "# last: "
"""What a line begins with that deletes what was switched off before, so that nobody runs it with the others."""
_DELETES = re.compile(r"aws \S+ delete-(?!secret|login-profile)|az .*(?:\bdelete\b|DELETE)|gcloud .* delete |vault delete ")
_PROVIDERS = {"aws": aws, "azure": azure, "gcp": gcp, "vault": vault}


def fix_of(finding: Known) -> Fix | None:
    """Return how a finding is put right, with its own names and ids filled in; None for a control that is not known here.

    `says` holds no names and is the same for all findings of a control about one kind of subject. In `commands`, whatever came from
    outside is quoted for a POSIX shell and has the shape that its provider gives such values; what is missing or has another shape
    stays a word in capitals (`USER_NAME`), for the reader to fill in. A line that deletes what others switch off is a comment that
    begins with LAST. `console` shows names as they are, on one line.
    """
    act = ACTS.get(finding.control)
    if act is None:
        return None
    subject = subject_of(finding)
    if act == "register":
        return filled(register.FIXES[finding.control], register.told(subject).values, register.SHAPES)
    fix = _at_provider(act, subject)
    after = register.THEN.get(finding.control)
    if after is None or finding.partner is None:
        return fix
    then = filled(after, register.told(subject).values, register.SHAPES)
    return replace(fix, says=f"{fix.says} {then.says}", commands=fix.commands + then.commands)


def _at_provider(act: Act, subject: Subject) -> Fix:
    provider = _PROVIDERS.get(subject.provider)
    if provider is None:
        return AT_LEAST[act]
    told = provider.told(subject)
    template = next((provider.FIXES[way, told.kind] for way in _ways(act) if (way, told.kind) in provider.FIXES), None)
    if template is None:
        return AT_LEAST[act]
    fix = _deleting_last(filled(template, told.values, provider.SHAPES))
    below = provider is vault and "/" in subject.scope
    return replace(fix, commands=(vault.NAMESPACE, *fix.commands)) if below and fix.commands else fix


def _deleting_last(fix: Fix) -> Fix:
    first, *others = fix.commands or ("",)
    return replace(fix, commands=(first, *(LAST + text if _DELETES.match(text) else text for text in others))) if fix.commands else fix


def _ways(act: Act) -> Iterator[Act]:
    """Give an act, and those that do as well, the best first."""
    yield act
    while (other := INSTEAD.get(act)) is not None:
        act = other
        yield act
