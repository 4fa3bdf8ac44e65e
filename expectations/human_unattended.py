"""A person's login is used by the person.

It fails where a program used its keys, no person had logged in for longer than the human track may idle before that use or has since, and
there is no second factor. How often and at what hours is in no single reading, so `round the clock` is not judged.

Only AWS tells the use of a password from that of a key. Entra's last interactive sign-in counts failed attempts too, and Google, Vault and
IAM Identity Center do not tell the two apart: their people are unknown unless MFA is on. A delegation is no person of ours, and left out.
"""

from countersign.expectation import Expectation, Severity, expect

human_unattended = Expectation(
    id="human-unattended",
    title="A person's login is run by a program",
    why="It has a person's rights and nobody at the keyboard: whoever copies its key looks like that person.",
    subjects=("identity",),
    population="is_person",
    holds=expect("column_values_to_be_in_set", column="acts_unattended", value_set=[False]),
    reason="{program_kind} used {program_on}, {attendance}, and no MFA",
    shows=("program_kind", "person_on", "unattended_days", "mfa", "console", "track", "partner", "workload"),
    unknown_from=("enabled_why", "track_why", "unattended_why", "mfa_why"),
    remedy="Give the program a machine identity in a registered workload, then delete the person's keys, or the login if nobody needs it.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=(
        "csf-2.0:PR.AA-02",
        "csf-2.0:PR.AA-03",
        "csf-2.0:DE.CM-03",
        "owasp-nhi:NHI10:2025",
        "owasp-nhi:NHI4:2025",
        "soc2:CC6.1",
        "soc2:CC7.2",
        "iso-27001:A.5.16",
        "iso-27001:A.8.16",
        "pci-dss-4.0.1:8.6.1",
        "pci-dss-4.0.1:8.2.2",
    ),
    before="Pavel's own access key was used this night, and he has no password and no MFA: a program runs under his name.",
    after="The program has an identity of its own in a registered workload; Pavel logs in as himself, with MFA.",
    example_held={"acts_unattended": False},
    example_broken={"acts_unattended": True},
)
