"""One customer's estate, seeded into the sandbox clouds with the programme folder that reads it: Northwind and its three partners."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from connectors.vault.permissions import policy_hcl, revoke_hcl
from countersign.evidence import signer
from sandbox.aws import CALLER_ACCOUNT
from sandbox.estate import aws as aws_accounts
from sandbox.estate import aws_ways_in, azure, entra, exports, gcp, register
from sandbox.estate import vault as vault_contents
from sandbox.estate.clouds import Clouds, running
from sandbox.estate.places import TENANT
from sandbox.estate.truth import TRUTH

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

__all__ = ["TRUTH", "Clouds", "environment", "revoking", "running", "seed"]


def seed(clouds: Clouds, now: datetime, folder: Path) -> None:
    """Fill the clouds, which must be running and empty, and write an ordinary programme folder that reads them.

    `folder` is made where it is missing. Ages are relative to `now` (UTC), except in Vault, which cannot be backdated.
    Raises EvidenceError where the folder already has an evidence key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signer.keygen(folder / "keys" / "evidence.pem")
    register.write(folder, now, clouds, caller_account=CALLER_ACCOUNT)
    ca = folder / register.GRAPH_CA
    ca.parent.mkdir(exist_ok=True)
    shutil.copyfile(clouds.graph.ca, ca)
    (folder / register.TSA_CA).write_bytes(clouds.tsa.ca)
    exports.write(folder / "exports", now)
    aws_accounts.seed(clouds.aws, now)
    aws_ways_in.seed(clouds.aws, now)
    tenant = clouds.graph.tenant(TENANT)
    entra.seed(tenant, now)
    azure.seed(tenant, now)
    gcp.seed(clouds.gcp, now)
    vault_contents.seed(clouds.vault)


def environment(clouds: Clouds) -> dict[str, str]:
    """Give the environment variables under which the folder's sources can be read, with a reader's rights and no more.

    What comes back holds a token and secrets: it is not for printing.
    """
    return {
        **clouds.aws.environment,
        **entra.reader(clouds.graph.tenant(TENANT)),
        "VAULT_TOKEN": clouds.vault.reader_token(policy_hcl()),
    }


def revoking(clouds: Clouds) -> dict[str, str]:
    """Give the environment variables of the identities that revoke; in life they are with few people, and not with the nightly run.

    AWS's is a role of its own, Google's stand-in without TLS knows no callers.
    """
    return {
        **clouds.graph.tenant(TENANT).revoking_environment(),
        "COUNTERSIGN_REVOKE_VAULT_TOKEN": clouds.vault.reader_token(revoke_hcl(), name="countersign-revoker"),
    }
