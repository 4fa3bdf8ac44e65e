"""Of no account, project, tenant, subscription or namespace is every administrator one partner's.

All tracks count: a delegation with an administrator's role administers. The root user of an AWS account does not, being a way back in and
no administrator at work, and neither do the provider's own identities, or whoever could only become an administrator.
"""

from countersign.expectation import Expectation, Severity, expect

sole_administrator = Expectation(
    id="sole-administrator",
    title="Only one partner administers it",
    why="The customer can neither undo what the partner does there nor put the partner out.",
    subjects=("scope",),
    population="is_administered",
    holds=expect("column_values_to_be_in_set", column="administration_is_shared", value_set=[True]),
    reason="every administrator of this {kind} is {partner}'s: {administrators}",
    shows=("partner", "administrators"),
    unknown_from=("administrators_why",),
    remedy="Make a person of the customer's an administrator there and try it out, then take the partner down to what its work needs.",
    severity=Severity.CRITICAL,
    clock="revoke",
    maps_to=(
        "csf-2.0:PR.AA-05",
        "csf-2.0:GV.SC-05",
        "csf-2.0:GV.SC-08",
        "soc2:CC6.3",
        "soc2:CC9.2",
        "iso-27001:A.5.3",
        "iso-27001:A.8.2",
        "dora:28.8",
        "dora:29.1(a)",
    ),
    before="In account 444455556666 every administrator is Acme's: if Acme leaves, nobody is left who could take the account back.",
    after="Two people of Northwind's are administrators as well, and their log-in was tried.",
    example_held={"administration_is_shared": True},
    example_broken={"administration_is_shared": False},
)
