"""A credential ends no later after its making than policy allows; a token or lease is also held to the limit of those.

One without an end lives longer than any limit. People's kinds without a limit of their own are under the machines'; tokens of people
are judged by a `max_ttl` only where the human policy sets one.
"""

from countersign.expectation import Expectation, Severity, expect

lifetime_too_long = Expectation(
    id="lifetime-too-long",
    title="Credential is valid for longer than policy allows",
    why="The longer a credential lives, the longer a copy of it works for whoever took it.",
    subjects=("credential",),
    population="has_lifetime_limit",
    holds=expect("column_values_to_be_between", column="days_past_lifetime", max_value=0),
    reason="{lifetime}; limit {lifetime_limit}",
    shows=("created_at", "expires_at", "lifetime", "lifetime_limit", "partner", "workload"),
    unknown_from=("enabled_why", "expiry_why", "ttl_why", "created_why", "track_why"),
    remedy="Issue a new one that ends within the limit, move its users, and destroy this one; "
    "set the issuer's own maximum, so that the next one ends, too.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "csf-2.0:PR.AA-03", "owasp-nhi:NHI7:2025", "soc2:CC6.1", "iso-27001:A.5.17"),
    before="A client secret made in 2024 that is valid until 2044; the limit is 365 days.",
    after="A new secret that is valid for 180 days; the old one is deleted.",
    example_held={"days_past_lifetime": 0},
    example_broken={"days_past_lifetime": 1},
)
