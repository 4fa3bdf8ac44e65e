"""Nothing is used once its contract or workload is over, or after it was switched off or a plan took it away.

Of the ends that are past, the earliest counts. Whether it is enabled makes no difference: the use is what is judged, and one that was
never used passes. `switched off` comes from earlier runs: a credential that one of them saw disabled and that was used later stays a
finding until it is replaced, or a plan gave it back. `revoked by plan`: all that the plan does about it was seen to be done; what the
provider lets live on, as far as that is known, and how late use may show up (`grace`) come on top. A use that is known by the day only
counts from the day's beginning.
"""

from countersign.expectation import Expectation, Severity, expect

used_after_end = Expectation(
    id="used-after-end",
    title="It was used after its access had ended",
    why="Somebody works with access that nobody gives any more, and it may not be whom it was given to.",
    subjects=("identity", "credential"),
    population="has_end",
    holds=expect("column_values_to_be_between", column="days_used_after_end", max_value=0),
    reason="{activity}, and its access ended {ended_on} ({ended_what})",
    shows=("ended_on", "ended_what", "last_used_at", "last_used_state", "enabled", "partner", "workload"),
    unknown_from=("partner_why", "use_why", "enabled_why"),
    remedy="Disable it now if it is enabled; find out who used it and for what, by the provider's own log, and whatever they made; "
    "what was switched off and came back is replaced, not kept.",
    severity=Severity.CRITICAL,
    clock="revoke",
    maps_to=(
        "csf-2.0:GV.SC-10", "csf-2.0:PR.AA-01", "csf-2.0:DE.CM-06", "owasp-nhi:NHI1:2025", "soc2:CC6.2", "soc2:CC6.3", "iso-27001:A.5.18",
        "pci-dss-4.0.1:8.2.5", "dora:28.8",
    ),
    before="The contract with Brightpath ended on 2026-06-30; its key was used on 2026-09-02.",
    after="The key is revoked, the use is looked into as an incident, and nothing of Brightpath's was used since.",
    example_held={"days_used_after_end": 0},
    example_broken={"days_used_after_end": 1},
)  # fmt: skip
