"""Reading the roles of JWT, OIDC, Kubernetes and certificate logins: who from outside may log in, and with which policies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from connectors.vault import bounds, records
from connectors.vault.api import Json, Refusal, each
from connectors.vault.identities import listed
from connectors.vault.visit import PROVIDER, Visit, told
from countersign.identity import Identity, Trust

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.vault.grants import Grants
    from connectors.vault.records import Mount
    from countersign.identity import Record, Track

FOLDERS = {"cert": "certs", "jwt": "role", "kubernetes": "role", "oidc": "role"}
"""Type of auth mount to where its roles are."""
FIELDS = (
    *records.ROLE_FIELDS,
    *("role_type", "bound_audiences", "bound_subject", "bound_claims", "bound_claims_type", "user_claim", "groups_claim"),
    *("bound_service_account_names", "bound_service_account_namespaces", "bound_service_account_namespace_selector", "audience"),
    *("allowed_names", "allowed_common_names", "allowed_dns_sans", "allowed_email_sans", "allowed_uri_sans"),
    *("allowed_organizational_units", "required_extensions", "token_bound_cidrs", "token_policies_template_claims"),
)


def roles(visit: Visit, mount: Mount, grants: Grants) -> Iterator[Record]:
    """Yield each role as an identity with its policies, and a trust per outside party that may log in as it."""
    base = f"auth/{mount.path}{FOLDERS[mount.kind]}"
    listing = visit.operation(f"LIST {base}", "auth-role")
    reads = visit.operation(f"GET {base}/*")
    config: Json | Refusal = {}
    if mount.kind != "cert":
        configuration = visit.operation(f"GET auth/{mount.path}config")
        config = visit.api.get(f"auth/{mount.path}config")
        if isinstance(config, Refusal) and config.empty:
            config = {}  # never configured, so nobody can log in
        if configuration.settle(config) is not None:
            yield configuration.observe([records.pick(config, bounds.CONFIG_FIELDS) if not isinstance(config, Refusal) else {}])
        yield configuration.coverage()
    names = (name for page in listed(visit, listing, base) for name in page.keys)
    for batch in each(names, lambda name: visit.api.get(f"{base}/{name}")):
        seen = []
        for name, answer in batch:
            role = reads.settle(answer)
            if isinstance(answer, Refusal) and answer.gone:
                continue
            shut = role is not None and records.closed(mount.kind, role)
            # A role that lets nobody in trusts nobody.
            trusts = () if shut else None if role is None else reads.made(partial(trusted, visit, mount, name, role, config))
            yield role_identity(visit, mount, name, role, None if shut else _why(answer, config, trusts))
            yield from trusts or ()
            # Where the names of policies are made from the token's claims, nobody knows them before a login.
            known = role is not None and not role.get("token_policies_template_claims")
            yield from grants.of(_uid(visit, mount, name), records.policies(role or {}, "token_policies", "policies") if known else None)
            seen.append({"name": name, **records.pick(role or {}, FIELDS)})
        yield reads.observe(seen)
    yield from told(listing, reads)


def trusted(visit: Visit, mount: Mount, name: str, role: Json, config: Json | Refusal) -> tuple[Trust, ...]:
    """Say who may log in as a role. Raises ValueError when the role holds a certificate that cannot be read."""
    condition = bounds.condition(mount.kind, role)
    if mount.kind == "cert":
        found = [(kind, party, condition or pinned) for kind, party, pinned in bounds.authorities(str(role.get("certificate") or ""))]
    else:
        found = [(kind, party, condition) for kind, party in bounds.parties(mount.kind, {} if isinstance(config, Refusal) else config)]
    return tuple(
        Trust(
            identity_uid=_uid(visit, mount, name),
            provider=PROVIDER,
            scope=visit.scope,
            party_kind=kind,
            party=party,
            condition=condition,
        )
        for kind, party, condition in dict.fromkeys(found)
    )


def role_identity(visit: Visit, mount: Mount, name: str, role: Json | None, trusts_why: str | None) -> Identity:
    """Tell a role; `role` is None where it could not be read, `trusts_why` says why it is not known whom it trusts."""
    use = visit.uses.login(mount.accessor, name)
    track: Track | None = "machine"
    if mount.kind in ("jwt", "oidc"):
        # The two types are one plugin, whose roles say which of the two logins they are for.
        track = None if role is None else "human" if role.get("role_type") == "oidc" else "machine"
    unknown = {"created_at": "a role carries no time of creation", "created_by": records.WHO_MADE_IT} | use.unknown("last_active_at")
    if track is None:
        unknown |= dict.fromkeys(("track", "console", "mfa"), "the role could not be read")
    elif track == "human":
        unknown["mfa"] = "the issuer asks for it or does not; this server cannot know"
    if trusts_why:
        unknown["trusts"] = trusts_why
    if role is None:
        unknown["enabled"] = "the role could not be read"
    return Identity(
        uid=_uid(visit, mount, name),
        provider=PROVIDER,
        scope=visit.scope,
        kind="auth-role",
        native_id=mount.path + name,
        name=name,
        track=track,
        enabled=None if role is None else not records.closed(mount.kind, role),
        console=None if track is None else track == "human",
        last_active_at=use.at,
        last_active_state=use.state,
        use_seen_to=use.seen_to,
        observed_at=visit.now(),
        unknown=unknown,
    )


def _uid(visit: Visit, mount: Mount, name: str) -> str:
    return visit.uid("auth-role", mount.path + name)


def _why(answer: Json | Refusal, config: Json | Refusal, trusts: tuple[Trust, ...] | None) -> str | None:
    if isinstance(answer, Refusal):
        return f"the role could not be read: {answer}"
    if trusts is None:
        return "what the role trusts could not be read"
    if isinstance(config, Refusal):
        return f"the mount's configuration could not be read: {config}"
    if not trusts and config:
        return "the mount holds public keys and names no issuer, so it is not known whose they are"
    return None
