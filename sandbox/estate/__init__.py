"""One customer's estate, seeded into the sandbox clouds with the programme folder that reads it: Northwind and its three partners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.vault.permissions import policy_hcl
from countersign.evidence import signer
from sandbox.aws import CALLER_ACCOUNT
from sandbox.estate import aws as aws_accounts
from sandbox.estate import exports, register
from sandbox.estate import vault as vault_contents
from sandbox.estate.truth import TRUTH

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sandbox.aws import SandboxAws
    from sandbox.vault import SandboxVault

__all__ = ["TRUTH", "environment", "seed"]


def seed(aws: SandboxAws, vault: SandboxVault, now: datetime, folder: Path) -> None:
    """Fill both sandboxes, which must be running and empty, and write an ordinary programme folder that reads them.

    `folder` is made where it is missing. Ages are relative to `now` (UTC), except in Vault, which cannot be backdated.
    Raises EvidenceError where the folder already has an evidence key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signer.keygen(folder / "keys" / "evidence.pem")
    register.write(folder, now, aws_endpoint=aws.endpoint, vault_address=vault.address, caller_account=CALLER_ACCOUNT)
    exports.write(folder / "exports", now)
    aws_accounts.seed(aws, now)
    vault_contents.seed(vault)


def environment(aws: SandboxAws, vault: SandboxVault) -> dict[str, str]:
    """Give the environment variables under which the folder's sources can be read, with a reader's rights and no more.

    What comes back holds a token: it is not for printing.
    """
    return {**aws.environment, "VAULT_TOKEN": vault.reader_token(policy_hcl())}
