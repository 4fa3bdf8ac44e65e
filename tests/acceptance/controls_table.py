"""What Northgate Rail's estate must come to, control by control: written from the design alone, before any of it was run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One control's verdicts on the estate; a subject goes by its label (`controls_estate`), `name/key` being a credential."""

    at_least: str
    """The mildest severity that would still be right."""
    because: str
    """Why the severity may not be milder."""
    fails: tuple[str, ...] = ()
    """All subjects that fail, unless `some` is set."""
    holds: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Subject to a word that the reason has to hold."""
    outside: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    """Subjects on which the design is silent: either verdict is right."""
    some: str = ""
    """Why `fails` is not the whole list."""


FORGOTTEN = ("stray-tagged", "stray-side-rollout", "stray-reach", "stray-made-1", "stray-made-2", "stray-circle-1", "stray-circle-2")
"""Partners' identities that nobody registered."""

IDENTITIES: dict[str, Case] = {
    # --- ownership ---
    "named-owner": Case(
        at_least="high", because="nobody decides about it, so nobody ends it",
        fails=(*FORGOTTEN, "claimed", "side-reader", "slow-orphan", "maker-unknown", "blind-stray"),
        holds=("svc-plain", "acme-plain"),
        unknown={"dim": "track"},
        outside=("people-ann", "slr", "svc-off"),
    ),
    "owner-live": Case(
        at_least="high", because="decisions about it wait for somebody who does not come back",
        fails=("left-bot",),
        holds=("svc-plain", "half-left-bot"),
        unknown={"left-maybe": "enabled"},
        outside=("people-ann", "claimed", "left-off"),
    ),
    "workload-registered": Case(
        at_least="high", because="a partner's access that is on no list ends with no contract",
        fails=FORGOTTEN,
        holds=("acme-plain",),
        unknown={"blind-stray": "trust"},
        outside=("svc-plain", "claimed", "people-ann", "blind-role"),  # blind-role is registered as the customer's own, which settles it
    ),
    "purpose-declared": Case(
        at_least="low", because="nobody can say whether access without a purpose is still needed",
        fails=("aimless-bot",),
        holds=("svc-plain",),
        unknown={"aimless-maybe": "enabled"},
        outside=("claimed", "aimless-off"),
    ),
    "expiry-declared": Case(
        at_least="medium", because="what has no end outlives its contract",
        fails=("endless-bot", "late-bot"),
        holds=("svc-plain", "acme-plain"),
        unknown={"endless-maybe": "enabled"},
        outside=("claimed",),
    ),
    "attribution-conflict": Case(
        at_least="medium", because="with two partners in question, the wrong one is asked and offboarded",
        fails=("acme-torn", "acme-two", "acme-mistagged"),
        holds=("acme-same", "acme-plain"),
        unknown={"blind-tagged": "trust"},
        outside=("people-ann",),
    ),
    # --- rotation: the credential ---
    "rotation-age": Case(
        at_least="high", because="a stolen key works until somebody replaces it",
        fails=("svc-rot-old/key", "svc-rot-second/key", "acme-strict/key", "lax-bot/key", "lax-allowed-old/key", "people-keyed/key", "slow-key/key",
               "fresh-key/key", "svc-ex-0/key", "svc-ex-1/key", "svc-ex-2/key", "svc-ex-3/key", "svc-ex-4/key", "svc-ex-5/key", "svc-ex-6/key",
               "svc-ex-7/key", "svc-ex-8/key", "svc-gcp-old/key"),
        holds=("svc-rot-edge/key", "side-rot/key", "lab-rot/key", "lax-allowed/key", "svc-plain/key"),
        unknown={"svc-rot-undated/key": "report"},
        outside=("svc-rot-off/key", "svc-off/key", "people-ann/password"),  # there is no limit for passwords
    ),
    "rotation-repeatable": Case(
        at_least="low", because="a rotation that was done once is luck, not a practice",
        fails=("once/key2",),
        holds=("often/key3",),
        unknown={"svc-plain/key": ""},  # old enough to have rotated twice, and seen for the first time tonight
        outside=("people-ann/password", "newcomer/key", "often/key1"),  # the newcomer is too young for it
    ),
    "credential-expiry": Case(
        at_least="medium", because="a leaked credential without an end is good for ever",
        fails=("app-endless/secret", "svc-gcp-old/key"),
        holds=("app-fine/secret",),
        unknown={"app-dim/secret": "end"},
        outside=("svc-plain/key", "app-federated/federated"),
    ),
    "lifetime-too-long": Case(
        at_least="low", because="the longer it lives, the longer a copy of it works",
        fails=("app-long/secret", "app-second/secret", "token-long"),
        holds=("app-fine/secret", "app-year/secret", "token-short"),
        unknown={"app-undated/secret": "start", "token-dim": "ttl"},
        outside=("svc-plain/key",),
        may=("app-endless/secret", "svc-gcp-old/key"),  # no end: already the matter of credential-expiry
    ),
    "expired-but-enabled": Case(
        at_least="medium", because="what was forgotten once is prolonged with one call",
        fails=("app-expired/secret",), holds=("app-fine/secret",), unknown={"app-dim/secret": "end"}, outside=("app-off/secret",),
    ),
    "overlap-too-long": Case(
        at_least="low", because="a rotation that leaves the old key open has rotated nothing",
        fails=("svc-overlap-old/key",),
        holds=("svc-overlap-fine/key", "svc-overlap-fine/key2", "svc-overlap-old/key2"),
        unknown={"svc-overlap-dim/key": "enabled"},
        outside=("svc-plain/key",),
    ),
    "static-where-federation": Case(
        at_least="low", because="what is not stored cannot be stolen",
        fails=("svc-plain/key", "app-fine/secret", "svc-gcp-old/key"),
        holds=("app-federated/federated",),
        unknown={"dim/key": "track"},
        outside=("svc-rot-off/key", "people-ann/password"),
        some="every access key, client secret and service-account key of the estate is one",
    ),
    # --- activity ---
    "inactive": Case(
        at_least="medium", because="nobody notices when what nobody uses is misused",
        fails=("svc-idle-never/key", "svc-idle-over/key", "idle-role", "people-robot/password", "cobalt-idle/key"),
        holds=("svc-idle-young/key", "svc-idle-edge/key", "svc-plain/key"),
        unknown={"svc-idle-dim/key": "use"},
        outside=("svc-rot-off/key", "svc-off/key"),
    ),
    "used-after-end": Case(
        at_least="high", because="somebody works with access that nobody gives any more",
        fails=("ended-used/key", "ended-off-used/key", "boreal-bot/key", "boreal-slow/key"),
        holds=("ended-quiet/key", "ended-last-day/key"),
        unknown={"ended-dim/key": "use"},
        outside=("svc-plain/key",),
    ),
    # --- privilege ---
    "over-privileged": Case(
        at_least="high", because="whoever gets it, gets all",
        fails=("svc-admin", "svc-climber", "acme-person", "acme-boss", "mist-boss", "side-reader", "vault-root"),
        holds=("svc-plain", "svc-limited"),
        unknown={"svc-odd": "policy"},
        outside=("people-ann", "svc-admin-off"),
    ),
    "sole-administrator": Case(
        at_least="high", because="the customer could be locked out of what is its own, and could not throw the partner out",
        fails=("lab", "vault"), holds=("main",), unknown={"mist": ""}, outside=(),
        some="accounts without any administrator are not in question, and the provider's own roles are no administrators of the customer's",
    ),
    "unconditioned-trust": Case(
        at_least="high", because="any customer of the outside party can talk it into coming in (confused deputy)",
        fails=("acme-loose",), holds=("acme-tight",), unknown={"blind-role": "trust"}, outside=("svc-plain", "own-trust"),
    ),
    "unknown-third-party": Case(
        at_least="high", because="nobody agreed on anything with it",
        fails=("svc-stranger",), holds=("acme-tight",), unknown={"blind-role": "trust"}, outside=("svc-plain", "own-trust"),
    ),
    "replicated-access": Case(
        at_least="medium", because="one break-in at the partner opens every copy",
        fails=("stray-side-rollout",), holds=("rollout", "acme-sync", "side-acme-sync"), unknown={"stray-reach": ""}, outside=("svc-plain", "people-ann"),
    ),
    # --- track ---
    "human-unattended": Case(
        at_least="medium", because="a person's rights, and nobody at the keyboard",
        fails=("people-robot",), holds=("people-ann",), unknown={"people-dim": ""}, outside=("svc-plain",),
    ),
    "human-mfa": Case(
        at_least="high", because="one guessed password is enough",
        fails=("people-bare", "people-robot"), holds=("people-ann",), unknown={"people-dim": "MFA"}, outside=("svc-plain", "people-off"),
    ),
    "machine-console": Case(
        at_least="low", because="what no person should use can be tried by any",
        fails=("svc-console",), holds=("svc-plain",), unknown={"svc-console-dim": "password"}, outside=("people-ann",),
    ),
    "derived-identity": Case(
        at_least="high", because="it survives the end of the identity that made it",
        fails=("stray-made-1", "stray-made-2", "stray-circle-1", "stray-circle-2"),
        holds=("acme-made",),
        unknown={"maker-unknown": "CloudTrail"},
        outside=("claimed",),
    ),
    # --- life cycle ---
    "contract-ended": Case(
        at_least="critical", because="there is no longer any ground for the access, and nobody bound to look after it",
        fails=("boreal-bot", "boreal-slow"), holds=("acme-plain",), unknown={"boreal-maybe": "enabled"}, outside=("boreal-off", "svc-plain"),
    ),
    "workload-expired": Case(
        at_least="medium", because="the owner said until when it was needed",
        fails=("ended-used", "ended-quiet", "ended-last-day", "ended-dim", "boreal-bot", "boreal-slow"),
        holds=("svc-plain", "today-bot"),
        unknown={"ended-maybe": "enabled", "boreal-maybe": "enabled"},
        outside=("claimed", "people-ann", "ended-off-used"),
    ),
    "incident-open": Case(
        at_least="critical", because="an attacker may be holding it at this moment",
        fails=("svc-inc-open", "dune-bot"),
        holds=("svc-inc-fresh",),
        unknown={"svc-inc-maybe": "enabled"},
        outside=("svc-plain", "svc-inc-closed"),
    ),
    "review-overdue": Case(
        at_least="low", because="without a look at it, access only ever grows",
        fails=("stale-bot", "wrong-reviewer-bot", "never-bot"),
        holds=("svc-plain",),
        unknown={"stale-maybe": "enabled"},
        outside=("claimed",),
    ),
    # --- own house ---
    "own-identities": Case(
        at_least="medium", because="who watches everybody is worth most to an attacker",
        fails=("side-reader",), holds=("reader",), outside=("svc-plain", "acme-plain"),
    ),
}  # fmt: skip
"""Controls over identities, credentials and the places that hold them."""

REGISTER: dict[str, Case] = {
    "register-names": Case(
        at_least="low", because="a name that nobody bears answers for nothing",
        fails=("control/static-where-federation",), holds=("control/default",),
    ),
    "register-owners": Case(
        at_least="medium", because="a control without an owner is nobody's work",
        fails=("control/machine-console",), holds=("control/default",),
    ),
    "register-raci": Case(
        at_least="medium", because="two accountable people are none",
        fails=("control/human-unattended",), holds=("control/default",),
    ),
    "register-answers": Case(
        at_least="medium", because="who approves their own work is approved by nobody",
        fails=("control/derived-identity",), holds=("control/default",),
    ),
    "register-slas": Case(
        at_least="low", because="without an agreed time nothing is ever late",
        fails=("control/replicated-access",), holds=("control/default",),
    ),
    "register-contract": Case(
        at_least="medium", because="what the contract does not promise, the partner need not give in an incident",
        fails=("partner/cobalt",), holds=("partner/acme",),
    ),
    "register-workload": Case(
        at_least="low", because="a registration with holes only looks like one",
        fails=("workload/left", "workload/half-left", "workload/aimless", "workload/endless", "workload/late", "workload/wrong-reviewer"),
        holds=("workload/services", "workload/acme-jobs"),
    ),
    "register-policy": Case(
        at_least="medium", because="a limit that a file loosens unnoticed is no limit",
        fails=("workload/lax", "partner/cobalt"), holds=("workload/lax-allowed", "partner/acme"),
    ),
    "register-footprint": Case(
        at_least="low", because="what two claim cannot be attributed to either",
        fails=(), some="one of partner/dune and partner/echo, or both", holds=("partner/acme",),
    ),
    "exception-invalid": Case(
        at_least="medium", because="an exception that nobody entitled granted is a control switched off",
        fails=("exception/EX-1", "exception/EX-2", "exception/EX-3", "exception/EX-4", "exception/EX-6", "exception/EX-7", "exception/EX-R3"),
        holds=("exception/EX-0", "exception/EX-8"),
        outside=("exception/EX-5",),
        may=("exception/EX-R0", "exception/EX-R1", "exception/EX-R2"),  # expired, but renewed: the last of the chain speaks for them
    ),
}  # fmt: skip
"""Controls over the register's entries."""

CLOCKS: dict[str, Case] = {
    "sla-detect": Case(at_least="medium", because="what is found late was open unseen", some="judged by its clocks, see the test"),
    "sla-escalate": Case(at_least="low", because="a ticket nobody was told of is nobody's", some="as above"),
    "sla-rotate": Case(at_least="medium", because="the agreed time has passed", some="as above"),
    "sla-revoke": Case(at_least="high", because="access that should have ended is open", some="as above"),
    "drill-overdue": Case(at_least="low", because="a path nobody walked may lead nowhere", fails=("drill/remediation",), some="and drill/exception"),
    "approval-owed": Case(at_least="medium", because="acting first is for emergencies only", some="nobody broke the glass here"),
    "source-unobserved": Case(at_least="high", because="what is not read is not judged", fails=("source-dark",), holds=("source-main",)),
}  # fmt: skip

CONTROLS = {**IDENTITIES, **REGISTER, **CLOCKS}

WHO: dict[tuple[str, str], tuple[str | None, str | None]] = {
    ("rotation-age", "svc-rot-old/key"): (None, "maria"),
    ("rotation-age", "acme-strict/key"): ("acme", "maria"),
    ("rotation-age", "people-keyed/key"): (None, "dev"),  # in no workload: the control's own accountable person
    ("named-owner", "stray-tagged"): ("acme", "dev"),
    ("named-owner", "stray-made-2"): ("acme", "dev"),  # made by what acme's robot made
    ("owner-live", "left-bot"): (None, "dev"),  # who has left answers for nothing
    ("workload-registered", "stray-side-rollout"): ("acme", "dev"),
    ("contract-ended", "boreal-bot"): ("boreal", "maria"),
    ("incident-open", "dune-bot"): ("dune", "maria"),
    ("review-overdue", "wrong-reviewer-bot"): (None, "maria"),
    ("inactive", "cobalt-idle/key"): ("cobalt", "maria"),
    ("over-privileged", "acme-person"): ("acme", "maria"),
    ("register-contract", "partner/cobalt"): ("cobalt", "dev"),
    ("used-after-end", "boreal-bot/key"): ("boreal", "maria"),
}
"""(control, subject) of a finding to its partner and who is accountable for it."""
