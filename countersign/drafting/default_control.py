"""`controls/default.yaml` for controls that nobody answers for: as most others have it, and the rest left to a person; pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from countersign.drafting.written import Draft, quoted
from countersign.register.check import check
from countersign.register.records import DEFAULT_CONTROL, STEPS, Answers, Control, Owners, Raci, Slas

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from countersign.register.records import Register

OBJECTIVE = "Every control without an entry of its own has people who answer for it."
_QUESTIONS = {
    "owners.business": "which of your people carries the risk?",
    "owners.technical": "which of your people knows how it works?",
    "owners.operational": "who runs it from day to day: one of your people, or partner/person?",
    "answers.approves": "which of your people approves?",
    "answers.implements": "who implements: a partner, person or team?",
    "answers.monitors": "who monitors, beside whoever implements?",
    "answers.revokes": "which of your people revokes?",
    "R": "who does it?",
    "A": "which one of your people is accountable?",
    "fallback": "which of your people acts when everybody else fails to?",
    "slas": "within what time, such as PT24H?",
}


def default_control(register: Register, uncovered: Sequence[str], today: date) -> Draft:
    """Draft the entry that stands for the `uncovered` controls (ids), with what `register check` would refuse left open."""
    model, why = _model(register)
    candidate = model.model_copy(update={"control": DEFAULT_CONTROL, "objective": OBJECTIVE})
    controls = {DEFAULT_CONTROL: candidate}
    alone = register.model_copy(update={"controls": controls, "workloads": {}, "exceptions": {}, "incidents": {}})
    refused = {problem.field for problem in check(alone, today)}
    draft = Draft()
    draft.comment("Drafted by `countersign register draft`: look at each line, then keep it as register/controls/default.yaml.")
    draft.comment(f"It stands for {', '.join(uncovered[:5])}{f' and {len(uncovered) - 5} more' if len(uncovered) > 5 else ''}.")  # noqa: PLR2004 - as many as fit a line
    draft.value("control", DEFAULT_CONTROL)
    draft.value("objective", quoted(OBJECTIVE))

    def one(key: str, dotted: str, value: str | None, indent: str = "  ") -> None:
        if value is None or dotted in refused:
            question = _QUESTIONS.get(dotted) or _QUESTIONS.get(key) or _QUESTIONS[dotted.partition(".")[0]]
            draft.open(key, dotted, question, indent=indent)
        else:
            draft.value(key, value, why, indent=indent)

    draft.lines.append("owners:")
    for layer in Owners.model_fields:
        one(layer, f"owners.{layer}", _ref(getattr(candidate.owners, layer)))
    draft.lines.append("answers:")
    for answer in Answers.model_fields:
        said = getattr(candidate.answers, answer)
        one(answer, f"answers.{answer}", (_refs(said) if said else None) if isinstance(said, tuple) else _ref(said))
    draft.lines.append("raci:")
    for name in STEPS:
        step = getattr(candidate.raci, name)
        draft.lines.append(f"  {name}:")
        for letter in "RA":
            one(letter, f"raci.{name}.{letter}", None if step is None else _ref(getattr(step, letter)), "    ")
        for letter in "CI":
            there = () if step is None or f"raci.{name}.{letter}" in refused else getattr(step, letter)
            draft.value(letter, _refs(there), indent="    ")
    one("fallback", "fallback", _ref(candidate.fallback), "")
    draft.lines.append("slas:")
    spans = candidate.slas.model_dump(mode="json")
    for name in Slas.model_fields:
        one(name, f"slas.{name}", spans[name])
    return draft


def _model(register: Register) -> tuple[Control, str]:
    """Return the entry whose people, RACI and service levels most controls share, and how many do."""
    shapes: Counter[str] = Counter()
    entries: dict[str, Control] = {}
    for _, entry in sorted(register.controls.items()):
        shape = entry.model_copy(update={"control": "", "objective": None, "evidence": ()})
        key = shape.model_dump_json()
        shapes[key] += 1
        entries.setdefault(key, shape)
    if not shapes:
        return Control(control=DEFAULT_CONTROL, raci=Raci()), ""
    key, count = shapes.most_common(1)[0]
    return entries[key], f"guess: as {count} of {len(register.controls)} controls have it"


def _ref(ref: str | None) -> str | None:
    return None if ref is None else quoted(ref)


def _refs(refs: Sequence[str]) -> str:
    return f"[{', '.join(quoted(ref) for ref in refs)}]"
