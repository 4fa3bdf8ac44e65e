"""Where the provider offers a federated or short-lived way to log in, no lasting secret is kept.

It is judged where policy sets a `max_ttl` for the track: that is how a customer says that it lives on short-lived credentials. Short-lived
is what ends within twelve hours, or sooner where `max_ttl` is shorter; what federation itself uses holds.
Passwords, API keys and stored secrets are not judged: nothing takes their place.
"""

from countersign.expectation import Expectation, Severity, expect

static_where_federation = Expectation(
    id="static-where-federation",
    title="A lasting secret where the provider offers a way without one",
    why="What is not stored cannot be stolen, and need not be rotated.",
    subjects=("credential",),
    population="may_federate",
    holds=expect("column_values_to_be_in_set", column="is_static", value_set=[False]),
    reason="{lifetime}, and could be {instead}",
    shows=("track", "instead", "lifetime", "created_at", "expires_at", "last_used_at", "last_used_state", "partner", "workload"),
    unknown_from=("enabled_why", "track_why", "expiry_why", "ttl_why", "created_why"),
    remedy="Move its users to what the finding names, beginning with partners' and the oldest; then delete the credential.",
    severity=Severity.LOW,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-03", "csf-2.0:PR.AA-04", "owasp-nhi:NHI4:2025", "owasp-nhi:NHI7:2025", "soc2:CC6.1", "iso-27001:A.5.17"),
    before="A build job at Acme signs in with an access key that is stored in its CI system.",
    after="The job presents its CI's OIDC token to a role whose trust names the repository; there is no key to steal.",
    example_held={"is_static": False},
    example_broken={"is_static": True},
)
