"""Seeds Northwind's Vault: a real server, so everything in it was made just now and nothing in it is old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sandbox.estate.places import ACME_ISSUER, CANARY, CORVID_ISSUER, HOSTILE_HTML

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.vault import SandboxVault

_EVERYTHING = 'path "*" {\n  capabilities = ["create", "read", "update", "delete", "list", "sudo"]\n}\n'


def seed(vault: SandboxVault) -> None:
    """Write auth methods, roles, people, secrets and a certificate authority."""
    vault.enable_auth("approle")
    userpass = vault.enable_auth("userpass")
    vault.policy("backup", 'path "secret/data/orders/*" {\n  capabilities = ["read"]\n}\n')
    vault.policy("reports", 'path "secret/data/reports/*" {\n  capabilities = ["read"]\n}\n')
    vault.policy("corvid-all", _EVERYTHING)
    vault.approle("acme-backup", policies=["backup"], secret_id_ttl="480h")
    vault.login("acme-backup", metadata={"owner": "maria", "partner": "acme"})
    vault.approle("brightpath-loader", policies=["reports"], secret_id_ttl="480h")
    vault.secret_id("brightpath-loader", metadata={"partner": "brightpath"})
    vault.approle("corvid-batch", policies=["corvid-all"], secret_id_ttl="0")
    vault.secret_id("corvid-batch")
    vault.approle("orders-ci", policies=["backup"], secret_id_ttl="24h")
    vault.login("orders-ci", metadata={"owner": "devika"})
    vault.entity("devika.rao", metadata={"owner": "devika"}, policies=["reports"], alias=(userpass, "devika"))
    vault.entity("acme-oncall", metadata={"partner": "acme"}, policies=["reports"], alias=(userpass, "acme-oncall"))
    vault.entity(HOSTILE_HTML, metadata={"partner": "corvid"}, alias=(userpass, "guest"))
    vault.disable_entity(vault.entity("corvid-contractor", policies=["corvid-all"], alias=(userpass, "corvid-contractor")))
    for name in ("devika", "acme-oncall", "guest", "corvid-contractor"):
        vault.user(name, policies=["reports"])
    pipeline = {"bound_subject": "pipeline:northwind-shop", "bound_audiences": ["vault.northwind.example"], "token_policies": ["backup"]}
    anyone = {"bound_claims": {"project": "*"}, "bound_claims_type": "glob", "token_policies": ["reports"]}
    _outside_issuer(vault, "jwt", ACME_ISSUER, "acme-pipeline", pipeline)
    _outside_issuer(vault, "jwt-corvid", CORVID_ISSUER, "corvid-delivery", anyone)
    vault.enable_engine("ssh")
    client = vault.client()
    client.write_data("ssh/roles/corvid-support", data={"key_type": "otp", "default_user": "corvid", "cidr_list": "10.7.0.0/16"})
    client.write_data("ssh/creds/corvid-support", data={"ip": "10.7.0.12"})  # a lease; the password in it is forgotten
    vault.kv("orders/database", {"password": CANARY}, custom_metadata={"owner": "devika"})
    vault.kv("reports/sftp", {"password": CANARY, "note": CANARY}, custom_metadata={"owner": "tom", "partner": "brightpath"})
    vault.kv("corvid/admin", {"token": CANARY})
    vault.pki(common_name="Northwind Internal Root")
    vault.certificate("orders.northwind.example", ttl="720h")


def _outside_issuer(vault: SandboxVault, mount: str, issuer: str, role: str, bounds: Mapping[str, object]) -> None:
    """Let tokens of an outside issuer log in as a role; nobody has the key that would sign one."""
    client = vault.client()
    vault.enable_auth("jwt", path=mount)
    public = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    client.write_data(f"auth/{mount}/config", data={"jwt_validation_pubkeys": [public], "bound_issuer": issuer})
    always = {"role_type": "jwt", "user_claim": "sub", "token_ttl": "15m"}
    client.write_data(f"auth/{mount}/role/{role}", data={**always, **bounds})
