"""Reads a list of vendors' AWS accounts, so that an account nobody registered at least has a name in the findings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from countersign import document
from countersign.errors import Problem
from countersign.register.fields import AccountId
from countersign.register.records import Entry


@dataclass(frozen=True, slots=True)
class Vendors:
    """Whose an AWS account is said to be. It registers nobody: the list is the work of volunteers."""

    file: str
    """As `countersign.yaml` names it; findings say that the name is from there."""
    names: Mapping[str, str]
    """Account number to the vendor's name; where several claim it, all of them."""


def read_vendors(path: Path, file: str, problems: list[Problem]) -> Vendors | None:
    """Read a list in the format of github.com/fwdcloudsec/known_aws_accounts; None when problems were added.

    That is a YAML list of `{name, accounts}` with the optional keys `type`, `source`, `enabled` and `deprecated_date`. A vendor
    that is out of use (`enabled: false`) keeps its name: an old trust may still be for it.
    """
    data = document.read_bytes(path, file, problems)
    written = None if data is None else document.parse_list(data, file, problems)
    listed = None if written is None else written.build(_Listed, problems)
    if listed is None:
        return None
    found: dict[str, list[str]] = {}
    for vendor in listed.items:
        for account in vendor.accounts:
            found.setdefault(account, []).append(f"AWS: {vendor.name}" if vendor.type == "aws" else vendor.name)
    return Vendors(file, {account: " or ".join(dict.fromkeys(names)) for account, names in sorted(found.items())})


class _Vendor(Entry):
    """One vendor; keys that the list may gain some day are a mistake like any other, until somebody says what they mean."""

    name: Annotated[str, Field(min_length=1)]
    accounts: tuple[AccountId, ...]
    type: Literal["aws"] | None = None
    """`aws`: a service of Amazon's own, which the name says."""
    source: tuple[str, ...] | str = ()
    """Where the account is written down in public."""
    enabled: bool = True
    deprecated_date: str | None = None


class _Listed(Entry):
    """The whole file; the reader gives a list the name of `items`."""

    items: tuple[_Vendor, ...] = ()
