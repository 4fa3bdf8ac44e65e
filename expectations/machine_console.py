"""No person can log in as a machine.

A second factor makes it no better: the person is still not the machine. A delegation is no machine of ours, and is left out.
"""

from countersign.expectation import Expectation, Severity, expect

machine_console = Expectation(
    id="machine-console",
    title="A machine identity can log in interactively",
    why="What a program uses a person can use too, and the log does not say which of the two it was.",
    subjects=("identity",),
    population="is_machine",
    holds=expect("column_values_to_be_in_set", column="console", value_set=[False]),
    reason="it is a machine's and can log in interactively",
    shows=("console", "mfa", "track", "partner", "workload"),
    unknown_from=("enabled_why", "track_why", "console_why"),
    remedy="Take the password or login away; people who need the access get an identity of their own.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-02", "csf-2.0:PR.AA-03", "owasp-nhi:NHI10:2025", "soc2:CC6.1", "iso-27001:A.5.16", "pci-dss-4.0.1:8.6.1"),
    before="The user `acme-backup` of a backup job has a console password.",
    after="The password is deleted; the job needs none.",
    example_held={"console": False},
    example_broken={"console": True},
)
