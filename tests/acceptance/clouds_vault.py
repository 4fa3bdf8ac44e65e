"""Halden Marine's Vault, which is a real one: what is in it was made a moment ago, and who uses it is in its audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouds_programme import BRIGHTWATER_ISSUER, STRANGER_ISSUER, STRAY
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.vault import policy_hcl

if TYPE_CHECKING:
    from clouds_programme import Notes

    from sandbox.vault import SandboxVault

POLICIES = {
    "little": ("secret/data/x/*", "read"),
    "policies": ("sys/policies/acl/*", "update"),
    "logins": ("auth/+/role/+", "update"),
    "everything": ("*", "create read update delete list sudo"),
}


class Safe:
    """Seeds the server and notes what has to be found in it."""

    def __init__(self, vault: SandboxVault, notes: Notes) -> None:
        self.vault, self.notes = vault, notes
        self.used: set[str] = set()
        """Credentials and identities whose use is in the audit log."""

    def seed(self) -> str:
        """Seed everything; returns the reader's token."""
        vault = self.vault
        for name, (path, capabilities) in POLICIES.items():
            listed = ", ".join(f'"{each}"' for each in capabilities.split())
            vault.policy(name, f'path "{path}" {{\n  capabilities = [{listed}]\n}}\n')
        vault.enable_auth("approle")
        self._approles()
        self._jwt("partner-jwt", BRIGHTWATER_ISSUER, {"partner": "brightwater"}, BRIGHTWATER_ISSUER)
        self._jwt("nowhere-jwt", STRANGER_ISSUER, None, "")
        vault.kv("x/y", {"password": "canary-halden"}, custom_metadata={"owner": "maud"})
        vault.pki()
        vault.client().write_data(
            "pki/roles/any",
            data={"allow_any_name": True, "enforce_hostnames": False, "key_type": "ec", "generate_lease": True, "max_ttl": "24h"},
        )
        vault.certificate("leased.halden.example", ttl="1h")
        token = vault.reader_token(policy_hcl())
        reader, root = (vault.client(token=each).auth.token.lookup_self()["data"]["accessor"] for each in (token, vault.root_token))
        for each in (reader, root):  # a token opens the web interface as well
            self.notes.unclear.add(("machine-console", f"vault:safe:token/{each}"))
        self.notes.identity(f"vault:safe:token/{reader}", ours=True)
        self.notes.identity(f"vault:safe:token/{root}", "named-owner", "over-privileged", "credential-expiry")
        return token

    def approle(self, name: str, *broken: str, **facets: Any) -> str:
        self.vault.approle(name, **facets)
        return self.notes.identity(f"vault:safe:approle/{name}", *broken, ours=True)

    def secret_id(self, accessor: str) -> str:
        return f"vault:safe:secret-id/{accessor}"

    def _approles(self) -> None:
        worker = self.approle("worker", policies=["little"], secret_id_ttl="240h")
        self.vault.login("worker")
        self.used.add(worker)
        (logged_in,) = self.vault.client().auth.approle.list_secret_id_accessors("worker")["data"]["keys"]
        self.notes.unproven(self.secret_id(logged_in))
        endless = self.approle("endless", policies=["little"])
        self.notes.unproven(self.notes.credential(self.secret_id(self.vault.secret_id("endless")), endless, "credential-expiry"))
        for name in ("policies", "logins", "everything"):
            self.approle(f"p-{name}", "over-privileged", policies=[name], secret_id_ttl="240h")
            self.notes.unproven(self.secret_id(self.vault.secret_id(f"p-{name}")))
        self.notes.identity("vault:safe:approle/nobodys", "named-owner")
        self.vault.approle("nobodys", policies=["little"], secret_id_ttl="240h")
        self.notes.unproven(self.secret_id(self.vault.secret_id("nobodys")))

    def _jwt(self, mount: str, issuer: str, partner: dict[str, str] | None, by: str) -> None:
        client = self.vault.client()
        self.vault.enable_auth("jwt", path=mount)
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        client.write_data(f"auth/{mount}/config", data={"jwt_validation_pubkeys": [pem], "bound_issuer": issuer})
        shared = {"role_type": "jwt", "user_claim": "sub", "token_policies": ["little"]}
        for name, bound in (("by-sub", {"bound_subject": "repo:halden/safe"}), ("unbound", {"token_bound_cidrs": ["10.0.0.0/8"]})):
            client.write_data(f"auth/{mount}/role/{name}", data=shared | bound)
            broken = STRAY if partner else ("named-owner", "unknown-third-party")
            loose = ("unconditioned-trust",) if name == "unbound" else ()
            judged: dict[str, Any] = {**partner, "by": by} if partner else {}
            self.notes.identity(f"vault:safe:auth-role/{mount}/{name}", *broken, *loose, unclear=("inactive",), **judged)
