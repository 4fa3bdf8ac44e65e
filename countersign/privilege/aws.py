"""IAM: administrators by what a policy allows, and the ways to become one by what it allows together."""

from __future__ import annotations

from countersign.privilege import Rule

EVERY_ACTION = Rule(
    "aws-every-action", "administrator", "Allows every action on every resource, without condition.", "IAM JSON policy elements: Action"
)
RULES: tuple[Rule, ...] = (EVERY_ACTION,)
