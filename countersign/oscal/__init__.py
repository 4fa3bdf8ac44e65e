"""A period in NIST's OSCAL 1.2.1: assessment results, and a plan of action and milestones, as plain dicts."""

from __future__ import annotations

from countersign.oscal.plan import plan_of_action
from countersign.oscal.references import problems
from countersign.oscal.results import assessment_results

__all__ = ["assessment_results", "plan_of_action", "problems"]
