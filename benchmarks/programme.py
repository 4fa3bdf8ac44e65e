"""Writes the programme folder that the benchmarks run: the template's register, with 100 workloads of 20 partners."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.estate import AS_OF, PARTNER_ACCOUNT, PARTNER_WORKLOADS, WORKLOADS
from countersign import scaffold

CUSTOMER = "bench"
PARTNERS = 20
ACCOUNT = "444455556666"


def write(folder: Path, *, endpoint: str | None, accounts: int = 0) -> None:
    """Write the folder; `endpoint` is the stub's address, None where nothing is read over the wire.

    `accounts`: so many are entered by a role; 0: one, with the credentials at hand.
    """
    scaffold.init(folder, customer=CUSTOMER)
    source = "{name: exports, provider: files, path: exports/}"
    if endpoint is not None:
        numbers = ", ".join(f'"{int(ACCOUNT) + number}"' for number in range(accounts or 1))
        role = ", role: CountersignInventory, external_id: bench" if accounts else ""
        source = f'{{name: aws, provider: aws, accounts: [{numbers}], regions: [eu-west-2], endpoint: "{endpoint}"{role}}}'
    (folder / "countersign.yaml").write_text(
        f"customer: {CUSTOMER}\nstate: sqlite:///state.db\n"
        'evidence: {store: evidence/, signer: "file:keys/evidence.pem", retention: P7Y}\n'
        f"sources:\n  - {source}\ndesk: {{kind: local}}\n"
        "limits: {max_new_share: 1.0, max_gone_share: 1.0, tickets_per_run: 200}\n",
        encoding="utf-8",
    )
    for number in range(PARTNERS):
        account = PARTNER_ACCOUNT if number == 0 else f"{222200000000 + number}"
        (folder / "register" / "partners" / f"p{number:02d}.yaml").write_text(
            f"partner: {{id: p{number:02d}, name: Partner {number}}}\n"
            f"contract: {{reference: C-{number}, starts: 2025-01-01, ends: 2027-12-31, evidence_retention: P7Y, notify_within: PT24H, "
            "direct_evidence_access: true}\n"
            f'footprint: {{aws_accounts: ["{account}"], email_domains: [p{number:02d}.example], '
            f'name_patterns: ["p{number:02d}-*"], tags: {{partner: p{number:02d}}}}}\n',
            encoding="utf-8",
        )
    for number in range(WORKLOADS):
        partner = f"partner: p{number % PARTNERS:02d}\n" if number < PARTNER_WORKLOADS else ""
        (folder / "register" / "workloads" / f"w{number:02d}.yaml").write_text(
            f"workload: w{number:02d}\n{partner}owner: business-owner\nbackup_owner: technical-owner\npurpose: benchmark\n"
            f"expires: 2027-06-30\nreviews: [{{by: business-owner, on: {AS_OF:%Y-%m-%d}}}]\n"
            f'identities: ["aws:*:user/w{number:02d}-*", "aws:*:role/w{number:02d}-*"]\n',
            encoding="utf-8",
        )


def main() -> None:
    """Write the folder named on the command line, reading so many accounts from the stub at the address after it, if any."""
    where, endpoint, accounts = (*sys.argv[1:], "", "0")[:3]
    write(Path(where), endpoint=endpoint or None, accounts=int(accounts))


if __name__ == "__main__":
    main()
