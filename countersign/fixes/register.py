"""What is put right in the register, or by a command of ours, whatever the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.fixes.filling import Fix, Told, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.fixes.subjects import Subject

_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
SHAPES = shapes(
    entry=_ID,
    fingerprint=r"[0-9a-f]{64}",
    late=r"[0-9a-f]{64}",
    partner=_ID,
    path=r"remediation|exception",
    plan=_ID,
    provider=r"aws|azure|gcp|vault",
    uid=r"(aws|azure|gcp|vault):[!-~]([ -~]*[!-~])?",
)


def told(subject: Subject) -> Told:
    """Say what is known of a subject; the kind is that of the entry, or what the ledger has (`finding`, `plan`, `drill`)."""
    values: dict[str, str | None] = {
        "entry": subject.native_id,
        "fingerprint": subject.fingerprint,
        "late": subject.native_id,
        "partner": subject.partner,
        "path": subject.native_id,
        "plan": subject.native_id,
        "provider": subject.provider,
        "uid": subject.uid,
    }
    return Told(subject.kind, values)


_CHECK = "countersign register check"
_DRAFT = Fix(
    says="Let Countersign draft an entry under register/workloads/, complete owner, purpose and end, and accept it; or have the identity "
    "switched off by an approved plan.",
    console=None,
    commands=("countersign register draft --dry-run", "countersign register draft", "countersign register draft --accept", _CHECK),
)
_DRAFT_OF_PARTNER = Fix(
    says=_DRAFT.says,
    console=None,
    commands=(
        "countersign register draft --partner {partner} --dry-run",
        "countersign register draft --partner {partner}",
        "countersign register draft --partner {partner} --accept",
        _CHECK,
    ),
)
_WORKLOADS = "its workload's file under register/workloads/ (countersign register check names files and lines)"
_CONTROLS = "the control's file under register/controls/"
_PLAN_OFF = "countersign offboard plan {partner} --as PERSON --reason REASON --identity {uid}"

FIXES: Mapping[str, Fix] = {
    "approval-owed": Fix(
        says="Read what was done and decide: with --as and --key the approval is signed; --decline stops the plan, and rollback plans "
        "how to "
        "give back what was taken. Then settle takes the approval.",
        console=None,
        commands=(
            "countersign approve {plan}",
            "countersign approve {plan} --as PERSON --key KEY_FILE",
            "countersign offboard settle {plan}",
        ),
    ),
    "attribution-conflict": Fix(
        says="Find out who uses it. Correct the tag or label at the provider, take the other party out of its trust, or list it in the "
        "identities of the right partner's workload under register/workloads/.",
        console=None,
        commands=("countersign register draft --dry-run", _CHECK),
    ),
    "derived-identity": Fix(
        says="Ask the partner what it is for; then draft an entry under register/workloads/ and complete it, or have it switched off by an "
        "approved plan. Take the right to create identities from the one that made it.",
        console=None,
        commands=(
            "countersign register draft --partner {partner}",
            "countersign register draft --partner {partner} --accept",
            _CHECK,
            _PLAN_OFF,
        ),
    ),
    "drill-overdue": Fix(
        says="Run the drill: it makes identities of its own in the scopes set aside, and touches no other. Mend what it says does not "
        "work.",
        console=None,
        commands=("countersign drill --path {path} --dry-run", "countersign drill --path {path} --as PERSON --key KEY_FILE"),
    ),
    "exception-invalid": Fix(
        says="Put the finding right and end the exception, or have it renewed and approved by somebody accountable who did not ask for it.",
        console=None,
        commands=(
            "countersign exception list",
            "countersign exception end {entry}",
            "countersign exception renew {entry} --expires DAY --by WHO",
        ),
    ),
    "expiry-declared": Fix(
        says=f"Set `expires` in {_WORKLOADS} to a day no later than the contract's end.", console=None, commands=(_CHECK,)
    ),
    "named-owner": _DRAFT,
    "own-identities": Fix(
        says="Give the reader an identity of your own that may read and nothing else: the first line prints the policy or role. List "
        "it in a "
        "workload under register/workloads/ with a live owner, take other rights from it, and rotate what the finding says is too old.",
        console=None,
        commands=("countersign permissions {provider}", "countersign register draft", _CHECK, "countersign doctor"),
    ),
    "owner-live": Fix(
        says=f"Name an active person as `owner` and another as `backup_owner` in {_WORKLOADS}; both stand in register/customer.yaml.",
        console=None,
        commands=(_CHECK,),
    ),
    "purpose-declared": Fix(
        says=f"Have the owner write `purpose` into {_WORKLOADS}, so that a reviewer can hold the access against it.",
        console=None,
        commands=(_CHECK,),
    ),
    "register-answers": Fix(
        says=f"Fill in `answers` (approves, implements, monitors, revokes) in {_CONTROLS}: approves, monitors and revokes are yours.",
        console=None,
        commands=(_CHECK, "countersign register show --matrix"),
    ),
    "register-contract": Fix(
        says="Agree on it with the partner, and write it under `contract` in the partner's file under register/partners/.",
        console=None,
        commands=(_CHECK,),
    ),
    "register-footprint": Fix(
        says="Leave the account, tenant, issuer, domain, pattern or tag under `footprint` of the one whose it is: files under "
        "register/partners/, "
        "or register/customer.yaml.",
        console=None,
        commands=(_CHECK,),
    ),
    "register-names": Fix(says="Correct the entry in the file and line that the check names.", console=None, commands=(_CHECK,)),
    "register-owners": Fix(
        says=f"Name active people under `owners` and `fallback` in {_CONTROLS}; yours stand in register/customer.yaml.",
        console=None,
        commands=(_CHECK, "countersign register show --matrix"),
    ),
    "register-policy": Fix(
        says="Tighten the limit under `policies` in the file that the check names, or have an exception approved for it.",
        console=None,
        commands=(
            _CHECK,
            (
                "countersign exception request --finding {fingerprint} --reason REASON --compensating-control CONTROL --exit-criteria "
                "CRITERIA"
                " --expires DAY --by WHO"
            ),
        ),
    ),
    "register-raci": Fix(
        says=f"Give every step under `raci` in {_CONTROLS} its R, and one active person of yours as A.",
        console=None,
        commands=(_CHECK, "countersign register show --matrix"),
    ),
    "register-slas": Fix(says=f"Write detect, escalate, rotate and revoke under `slas` in {_CONTROLS}.", console=None, commands=(_CHECK,)),
    "register-workload": Fix(
        says="Complete the entry under register/workloads/ in the line that the check names.", console=None, commands=(_CHECK,)
    ),
    "replicated-access": Fix(
        says="List each place in which the partner works in a workload under register/workloads/, with owner and end; have the copies "
        "in other "
        "places switched off by an approved plan.",
        console=None,
        commands=(
            "countersign register draft --partner {partner}",
            "countersign register draft --partner {partner} --accept",
            _CHECK,
            _PLAN_OFF,
        ),
    ),
    "review-overdue": Fix(
        says=f"Have the owner go through what its identities hold and take away what is not needed, then add the day and the reviewer "
        f"under "
        f"`reviews` in {_WORKLOADS}.",
        console=None,
        commands=(_CHECK,),
    ),
    "sla-detect": Fix(
        says="See which nights were missed or incomplete, and what the source refused; look at the provider's log for what happened "
        "in between.",
        console=None,
        commands=("countersign runs", "countersign doctor", "countersign clocks --finding {late}"),
    ),
    "sla-escalate": Fix(
        says="Mend the desk, which doctor tries; the next run opens the ticket. Tell the accountable person meanwhile.",
        console=None,
        commands=("countersign doctor", "countersign clocks --finding {late}"),
    ),
    "sla-revoke": Fix(
        says="Put right the finding that this clock is of: the first line says which, and its own ticket says how. Or take it away by "
        "a plan.",
        console=None,
        commands=("countersign clocks --finding {late}", "countersign offboard plan {partner} --as PERSON --emergency"),
    ),
    "sla-rotate": Fix(
        says="Put right the finding that this clock is of: the first line says which, and its own ticket says how. Or have it "
        "accepted for a time.",
        console=None,
        commands=(
            "countersign clocks --finding {late}",
            (
                "countersign exception request --finding {late} --reason REASON --compensating-control CONTROL --exit-criteria CRITERIA"
                " --expires DAY --by WHO"
            ),
        ),
    ),
    "source-unobserved": Fix(
        says="Give the reader the permission that the reason names (the second line prints all that it needs), or mend the connection.",
        console=None,
        commands=("countersign doctor", "countersign permissions {provider}"),
    ),
    "workload-registered": _DRAFT_OF_PARTNER,
}
"""By control; what is judged under it needs no distinction by kind."""
THEN: Mapping[str, Fix] = {
    "contract-ended": Fix(
        says="Then offboard the partner, so that nothing else of theirs is left.",
        console=None,
        commands=("countersign offboard plan {partner} --as PERSON --reason REASON",),
    ),
    "incident-open": Fix(
        says="Then plan for all that is the partner's: nothing of it may stay enabled while the incident is open.",
        console=None,
        commands=("countersign offboard plan {partner} --as PERSON --incident --emergency",),
    ),
}
"""By control: what comes after its act at the provider, where the subject is a partner's."""
