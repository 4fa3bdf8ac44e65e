"""Reading the secrets engines: when a secret was written, rotated or issued, and never what it is."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from connectors.vault import credentials, records
from connectors.vault.api import ABSENT, BATCH, DENIED, NOT_ALLOWED, Json, Refusal, each
from connectors.vault.identities import listed
from connectors.vault.visit import Operation, Visit, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from connectors.vault.records import Mount
    from countersign.identity import Record

_UNSUPPORTED = (DENIED, ABSENT, NOT_ALLOWED)
"""How a server without OpenBao's shortcuts answers them, and a server with them that was not told to allow them."""


def secrets(visit: Visit, mount: Mount) -> Iterator[Record]:
    """Yield a credential per KV version 2 secret: in one answer where the server can SCAN, else folder by folder."""
    scan = visit.operation(f"SCAN {mount.path}detailed-metadata", "secret")
    tree = visit.api.scan(f"{mount.path}detailed-metadata/")
    if not isinstance(tree, Refusal) or tree.empty:
        info = {} if isinstance(tree, Refusal) else tree.info
        scan.answered(len(info))
        yield from _secrets(visit, mount, scan, info.items())
    elif tree.status in _UNSUPPORTED:
        yield from _walk(visit, mount)
        return
    else:
        scan.fail(tree)
    yield scan.coverage()


def _walk(visit: Visit, mount: Mount) -> Iterator[Record]:
    base = f"{mount.path}metadata/"
    listing = visit.operation(f"LIST {base}*", "secret")
    reads = visit.operation(f"GET {base}*", "secret")

    def paths() -> Iterator[str]:
        folders = [""]
        while folders:
            folder = folders.pop()
            for page in listed(visit, listing, base + folder):
                for key in page.keys:
                    if key.endswith("/"):
                        folders.append(folder + key)
                    else:
                        yield folder + key

    for batch in each(paths(), lambda path: visit.api.get(base + path)):
        settled = ((path, reads.settle(answer)) for path, answer in batch)
        yield from _secrets(visit, mount, reads, ((path, found) for path, found in settled if found is not None))
    yield from told(listing, reads)


def _secrets(visit: Visit, mount: Mount, operation: Operation, found: Iterable[tuple[str, Json]]) -> Iterator[Record]:
    rest = iter(found)
    while batch := list(islice(rest, BATCH)):
        for path, metadata in batch:
            if not metadata.get("current_version"):
                operation.leave_out("metadata without a version")
            elif credential := operation.made(partial(credentials.secret, visit, mount, path, metadata, visit.now())):
                yield credential
        yield operation.observe(
            [{"path": path, **records.observed(metadata, records.SECRET_FIELDS, metadata="custom_metadata")} for path, metadata in batch]
        )


def database_roles(visit: Visit, mount: Mount) -> Iterator[Record]:
    """Yield a credential per static database account."""
    base = f"{mount.path}static-roles"
    listing = visit.operation(f"LIST {base}", "database-role")
    reads = visit.operation(f"GET {base}/*", "database-role")
    names = (name for page in listed(visit, listing, base) for name in page.keys)
    for batch in each(names, lambda name: visit.api.get(f"{base}/{name}")):
        seen = []
        for name, answer in batch:
            found = reads.settle(answer)
            if found is not None:
                if credential := reads.made(partial(credentials.database_role, visit, mount, name, found, visit.now())):
                    yield credential
                seen.append({"name": name, **records.pick(found, records.STATIC_ROLE_FIELDS)})
        yield reads.observe(seen)
    yield from told(listing, reads)


def certificates(visit: Visit, mount: Mount) -> Iterator[Record]:
    """Yield a credential per certificate that the engine has issued and not yet tidied away, ended and revoked ones too."""
    detailed = f"{mount.path}certs/detailed"
    answer = visit.api.first(detailed)
    if isinstance(answer, Refusal) and answer.status in _UNSUPPORTED:
        yield from _certificates_one_by_one(visit, mount)
        return
    listing = visit.operation(f"LIST {detailed}", "certificate")
    revocations = visit.operation(f"LIST {mount.path}certs/revoked")
    revoked = {serial for page in listed(visit, revocations, f"{mount.path}certs/revoked", stored=_stored) for serial in page.keys}
    for page in listed(visit, listing, detailed, stored=_stored):
        for serial, found in page.info.items():
            is_revoked = None if revocations.refused else serial in revoked
            if credential := listing.made(partial(credentials.certificate, visit, mount, serial, found, revoked=is_revoked)):
                yield credential
        yield listing.observe(
            [{"serial": serial, **records.pick(found, records.CERTIFICATE_FIELDS)} for serial, found in page.info.items()]
        )
    yield from told(listing, revocations)


def _certificates_one_by_one(visit: Visit, mount: Mount) -> Iterator[Record]:
    listing = visit.operation(f"LIST {mount.path}certs", "certificate")
    reads = visit.operation(f"GET {mount.path}cert/*", "certificate")
    serials = (serial for page in listed(visit, listing, f"{mount.path}certs", stored=_stored) for serial in page.keys)
    for batch in each(serials, lambda serial: visit.api.get(f"{mount.path}cert/{serial}")):
        seen = []
        for serial, answer in batch:
            found = reads.settle(answer)
            if found is None:
                continue
            try:
                opened = credentials.opened(found)
            except ValueError:
                reads.drop("not an X.509 certificate")
                continue
            yield credentials.certificate(visit, mount, serial, opened, revoked=opened["revocation_time"] > 0)
            seen.append({"serial": serial, **opened})
        yield reads.observe(seen)
    yield from told(listing, reads)


def _stored(serial: str) -> str:
    """Write a serial number as the server stores it: with the colons that it shows, a next page would begin too late."""
    return serial.replace(":", "-")
