"""Every control has a fix for every kind of subject, its commands exist as written, and no name can make one do anything else."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import click
import duckdb
import hvac
import pytest
import typer.main
from hypothesis import given, settings
from hypothesis import strategies as st

import countersign.cli
from countersign.expectation import expectations
from countersign.finding import Known, fingerprint, inert
from countersign.fixes import LAST, Fix, acts, aws, azure, filling, fix_of, gcp, register, vault
from countersign.fixes.subjects import subject_of
from countersign.identity import CREDENTIAL_KINDS
from sandbox.vault import SandboxVault, bao

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.fixes.subjects import Subject

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, tzinfo=UTC)
GUID = "3f0e8a52-6a0c-4b0e-9d8e-0c5a1d2b7f10"
CONTROLS = {record.id: record for record in expectations()}
PROVIDERS = {"aws": aws, "azure": azure, "gcp": gcp, "vault": vault}
SCOPES = {"aws": "444455556666", "azure": GUID, "gcp": "northwind-shop", "vault": "vault"}
ANCHOR = f"arn:aws:rolesanywhere:eu-west-2:444455556666:trust-anchor/{GUID}"
NATIVE = {
    ("aws", "user"): "AIDAIJJBJZUKX6FYUYYAJ", ("aws", "role"): "AROAWO645SY5BPR32ULIA", ("aws", "access-key"): "AKIAWO645SY5MOFAMNBF",
    ("aws", "trust-anchor"): ANCHOR, ("aws", "shared-resource"): "arn:aws:s3:::northwind-invoices",
    ("aws", "secret"): "arn:aws:secretsmanager:eu-west-2:444455556666:secret:corvid/sftp-7D8F6A",
    ("aws", "oidc-provider"): "arn:aws:iam::444455556666:oidc-provider/token.example", ("aws", "account"): "444455556666",
    ("aws", "saml-provider"): "arn:aws:iam::444455556666:saml-provider/corvid", ("aws", "certificate"): f"{GUID}/1930598",
    ("azure", "lighthouse-delegation"): f"subscriptions/{GUID}/providers/microsoft.managedservices/registrationassignments/{GUID}",
    ("gcp", "service-account"): "10198552770714339", ("gcp", "member"): "user:ann@corvid.example",
    ("gcp", "workload-identity-provider"): "corvid-aws/delivery", ("gcp", "workforce-provider"): "corvid-staff/login",
    ("gcp", "organization"): "680123456789", ("gcp", "service-account-key"): "203553e36fd8588489f74eb95c24015a",
    ("vault", "auth-role"): "jwt-corvid/delivery", ("vault", "user"): "userpass/devika", ("vault", "approle"): "acme-backup",
    ("vault", "secret"): "secret/app/db", ("vault", "lease"): "database/creds/shop/abcDEF", ("vault", "database-role"): "database_ab12:shop",
    ("vault", "certificate"): "pki_ab12:3a-bb-01",
}  # fmt: skip
OWNER = {"aws": "user", "azure": "application", "gcp": "service-account", "vault": "approle"}
NAMES = {("gcp", kind): "etl@northwind-shop.iam.gserviceaccount.com" for kind in ("service-account", "service-account-key")}


def uid(provider: str, kind: str, native: str | None = None, *, scope: str | None = None) -> str:
    told = native or NATIVE.get((provider, kind)) or (GUID if provider in {"azure", "vault"} else "ACCA6B661B4DDCA5DBFC1")
    return f"{provider}:{scope or SCOPES[provider]}:{kind}/{told}"


def known(control: str, provider: str, kind: str, *, name: str | None = None, **other: Any) -> Known:
    subject = other.pop("subject", None) or uid(provider, kind)
    held = kind in CREDENTIAL_KINDS - {"secret", "api-key"}
    identity = uid(provider, OWNER[provider]) if held else subject
    given_name = name if name is not None else NAMES.get((provider, kind), "legacy-ftp")
    row = {
        "fingerprint": fingerprint(control, subject), "control": control, "subject": subject,
        "subject_kind": "credential" if held else "identity", "identity": identity, "identity_name": inert(given_name),
        "provider": provider, "scope": SCOPES.get(provider, "northwind"), "partner": "corvid", "accountable": "maria", "severity": "high",
        "reason": "r", "facts_digest": "d", "state": "open", "first_seen": NOW, "since": NOW, "due": None,
    }  # fmt: skip
    return Known(**(row | other))


def fixed(*finding: str, **other: Any) -> Fix:
    found = fix_of(known(*finding, **other))
    assert found is not None
    return found


@cache
def credential_kinds() -> tuple[tuple[str, str, str], ...]:
    """Every (control, provider, kind) of credentials that the facts can judge, out of their own table of kinds."""
    asked = {
        "rotation-age": "policy_kind IS NOT NULL", "rotation-repeatable": "policy_kind IS NOT NULL", "credential-expiry": "policy_kind IS NOT NULL",
        "lifetime-too-long": "policy_kind IS NOT NULL OR is_leased", "inactive": "idles", "overlap-too-long": "pairs",
        "static-where-federation": "is_lasting IS NOT NULL", "expired-but-enabled": "NOT ends_itself", "used-after-end": "TRUE",
    }  # fmt: skip
    assert {control for control, record in CONTROLS.items() if "credential" in record.subjects} == asked.keys()
    with duckdb.connect() as db:
        db.execute((ROOT / "countersign/facts/kinds.sql").read_text())
        return tuple(
            (control, *row)
            for control, which in asked.items()
            for row in db.sql("FROM kinds").filter(which).select("provider, kind").fetchall()
        )


PLACES = {"account", "project", "mount"}
"""What holds credentials, and is no identity that anybody judges."""


@cache
def identity_kinds() -> frozenset[tuple[str, str]]:
    """Every (provider, kind) of identity that a connector lists, out of what its listings cover."""
    found = set()
    for provider in PROVIDERS:
        for file in (ROOT / "connectors" / provider).glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.keyword) and node.arg == "covers" and isinstance(node.value, ast.Tuple):
                    found |= {(provider, each.value) for each in node.value.elts if isinstance(each, ast.Constant)}
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"operation", "uid", "_uid"}:
                    found |= {
                        (provider, each.value)
                        for each in node.args
                        if isinstance(each, ast.Constant) and isinstance(each.value, str) and re.fullmatch(r"[a-z-]+", each.value)
                    }
    kinds = {(provider, kind) for provider, kind in found if kind not in (CREDENTIAL_KINDS - {"token"}) | PLACES}
    return frozenset(kinds | {("gcp", "workload-identity-provider"), ("gcp", "workforce-provider")})  # the one loop reads both


PEOPLE = {("aws", "user"), ("azure", "user"), ("gcp", "member"), ("vault", "entity"), ("vault", "user")}
OF_PEOPLE = {"human-mfa", "human-unattended", "machine-console"}


def judged() -> Iterator[tuple[str, str, str]]:
    yield from credential_kinds()
    for control, record in CONTROLS.items():
        if "identity" in record.subjects:
            yield from ((control, *kind) for kind in sorted(identity_kinds()))
    places = {"aws": ["account"], "azure": ["tenant", "subscription"], "gcp": ["project", "organization"], "vault": ["namespace"]}
    yield from (("sole-administrator", provider, kind) for provider, kinds in places.items() for kind in kinds)


def templates() -> Iterator[tuple[str, str, str, Fix]]:
    for provider, module in PROVIDERS.items():
        yield from ((provider, act, kind, fix) for (act, kind), fix in module.FIXES.items())
    for fixes in (register.FIXES, register.THEN):
        yield from (("register", "register", control, fix) for control, fix in fixes.items())


def every_command() -> Iterator[tuple[str, ...]]:
    yield from (tuple(shlex.split(line)) for *_, fix in templates() for line in fix.commands)


# ---- whole ----


def test_the_kinds_come_from_the_program() -> None:
    assert len(credential_kinds()) > 80
    some = {("aws", "role"), ("aws", "billing-transfer"), ("azure", "foreign-principal"), ("gcp", "member"), ("vault", "entity")}
    assert some <= identity_kinds()


def test_every_control_has_an_act_and_every_act_a_last_resort() -> None:
    assert acts.ACTS.keys() == CONTROLS.keys()
    assert register.FIXES.keys() == {control for control, act in acts.ACTS.items() if act == "register"}
    assert acts.AT_LEAST.keys() == set(acts.ACTS.values()) - {"register"}


def test_whatever_can_be_judged_has_a_fix_of_its_own_kind() -> None:
    without = [
        one
        for one in judged()
        if (fix := fixed(*one)) in acts.AT_LEAST.values() or not (fix.commands or fix.console)
        if not (one[0] in OF_PEOPLE and one[1:] not in PEOPLE) and one != ("machine-console", "gcp", "member")
        if not (one[0] in OF_PEOPLE and one[1] == "vault")  # there only the entity of a person can lack what they demand
    ]
    assert without == []
    assert fixed("human-mfa", "vault", "entity").commands
    assert fixed("human-unattended", "vault", "entity").commands


def test_nothing_written_is_out_of_reach() -> None:
    """A fix for a kind that no finding is ever told to be of would never be read."""
    told = {
        (provider, provided.told(filled_subject(provider, kind)).kind)
        for provider, provided in PROVIDERS.items()
        for kind in all_kinds(provider)
    }
    finer = {
        ("aws", "root-user"), ("aws", "root-credential"), ("aws", "root-password"), ("aws", "saml-certificate"), ("aws", "shared-key"),
        ("aws", "shared-resource"), ("azure", "managed-identity-federation"), ("azure", "principal-certificate"),
        ("azure", "principal-client-secret"), ("gcp", "organization-member"),
    }  # fmt: skip
    assert {(provider, kind) for provider, _, kind, _ in templates() if provider != "register"} - told == finer


def all_kinds(provider: str) -> set[str]:
    return {kind for _, told, kind in judged() if told == provider}


def filled_subject(provider: str, kind: str) -> Subject:
    return subject_of(known("inactive", provider, kind))


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (known("inactive", "aws", "user", subject=uid("aws", "user", "444455556666"), name="<root_account>"), "Root access management"),
        (known("inactive", "aws", "access-key", identity=uid("aws", "user", "444455556666")), "Sign in as the root user of account 444455556666"),
        (known("inactive", "azure", "client-secret", identity=uid("azure", "service-principal")), "az ad sp credential delete"),
        (known("used-after-end", "azure", "federated-credential", identity=uid("azure", "service-principal")), "az identity federated-credential"),
        (
            known("inactive", "gcp", "member", subject="gcp:organizations/68:member/user:a@b.example", scope="organizations/68"),
            "gcloud organizations remove-iam-policy-binding 68 --member=user:a@b.example",
        ),
        (known("inactive", "vault", "token", subject="vault:vault/team:token/AbC", scope="vault/team"), vault.NAMESPACE),
        (known("unconditioned-trust", "aws", "shared-resource", subject=uid("aws", "shared-resource", f"arn:aws:kms:eu-west-2:444455556666:key/{GUID}")), f"--key-id {GUID}"),
        (known("sla-revoke", "ledger", "finding", subject=f"ledger:northwind:finding/{'ab' * 32}"), f"clocks --finding {'ab' * 32}"),
        (known("source-unobserved", "gcp", "source", subject="gcp:northwind-mainframe:source/gcp", scope="source/gcp"), "permissions gcp"),
        (known("exception-invalid", "register", "exception", subject="register:northwind:exception/EX-0002"), "renew EX-0002"),
        (known("contract-ended", "gcp", "service-account"), "countersign offboard plan corvid"),
    ],
)  # fmt: skip
def test_finer_kinds_go_their_own_way(finding: Known, expected: str) -> None:
    fix = fix_of(finding)
    assert fix is not None
    assert expected in "\n".join((fix.console or "", *fix.commands))


def test_a_control_that_nobody_wrote_has_none() -> None:
    assert fix_of(known("rotation-age", "aws", "access-key")._replace(control="made-up")) is None


# ---- the commands exist ----


def test_the_aws_commands_are_those_of_its_own_model() -> None:
    session = botocore.session.get_session()
    wide = {"query", "output", "region"}
    wrong = []
    for words in every_command():
        if words[0] != "aws":
            continue
        model = session.get_service_model({"s3api": "s3"}.get(words[1], words[1]))
        operation = {botocore.xform_name(name, "-"): name for name in model.operation_names}.get(words[2])
        if operation is None:
            wrong.append((words, "no such operation"))
            continue
        shape = model.operation_model(operation).input_shape
        known_options = {botocore.xform_name(name, "-"): name for name in shape.members} if shape else {}
        given_options = {word[2:] for word in words if word.startswith("--")}
        needed = {botocore.xform_name(name, "-") for name in shape.required_members} if shape else set()
        wrong += [(words, option) for option in given_options - wide - known_options.keys()]
        wrong += [(words, f"needs {option}") for option in needed - given_options]
    assert wrong == []


def test_our_own_commands_are_ours() -> None:
    app: Any = typer.main.get_command(countersign.cli._app())
    wrong = []
    for words in every_command():
        if words[0] != "countersign":
            continue
        command, rest = app, list(words[1:])
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        try:
            values = [{"DAY": "2026-12-01", "{provider}": "aws", "{path}": "all"}.get(word, word) for word in rest]
            command.make_context(words[1], values)
        except click.exceptions.ClickException as error:
            wrong.append((words, error.format_message()))
    assert wrong == []


SWITCH = re.compile(
    r"--status Inactive|disable|--disabled|accountEnabled=false|account-enabled false|isDisabled|disabled=true|AWSDenyAll|bound_cidrs|"
    r"\.invalid|remove-client-id|permissions-boundary"
)
DELETION = re.compile(r"^(aws \S+ delete-(?!secret|login-profile)|az .*(?:\bdelete\b|DELETE)|gcloud .* delete |vault delete )")


def test_nothing_is_deleted_before_it_was_switched_off() -> None:
    can_be = {(provider, kind) for provider, act, kind, fix in templates() if act == "disable" and any(map(SWITCH.search, fix.commands))}
    assert {("aws", "access-key"), ("azure", "service-principal"), ("gcp", "service-account-key"), ("vault", "entity")} <= can_be
    for provider, act, kind, fix in templates():
        gone = [number for number, line in enumerate(fix.commands) if DELETION.search(line)]
        off = [number for number, line in enumerate(fix.commands) if SWITCH.search(line)]
        if gone and (provider, kind) in can_be and act != "remove-rights":
            assert off, (provider, act, kind)
            assert off[0] < gone[0], (provider, act, kind)
            assert "delet" in fix.says.lower(), (provider, act, kind)


def test_no_line_that_deletes_after_another_runs_when_all_are_pasted() -> None:
    told = fixed("inactive", "aws", "access-key")
    assert [line.startswith(LAST) for line in told.commands] == [*[False] * (len(told.commands) - 1), True]
    assert [line for one in judged() for line in fixed(*one).commands[1:] if DELETION.search(line)] == []


def test_a_secret_is_only_deleted_with_the_longest_time_to_bring_it_back() -> None:
    assert [line for *_, fix in templates() for line in fix.commands if " delete-secret " in line] == [
        aws.FIXES["disable", "secret"].commands[1]
    ]
    assert aws.FIXES["disable", "secret"].commands[1].endswith("--recovery-window-in-days 30")


# ---- names ----


def test_what_is_said_holds_no_name_and_every_placeholder_has_a_shape() -> None:
    for provider, act, kind, fix in templates():
        assert "{" not in fix.says, (provider, act, kind)
        shapes = PROVIDERS.get(provider, register).SHAPES
        used = {name for text in (fix.console or "", *fix.commands) for name in filling.PLACEHOLDER.findall(text)}
        assert used <= shapes.keys(), (provider, act, kind)


ALL_PLACEHOLDERS = frozenset(name for *_, fix in templates() for line in fix.commands for name in filling.PLACEHOLDER.findall(line))
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_stands_in_quotes_can_hold_no_quote(data: st.DataObject) -> None:
    """A value in quotes of ours is written bare, so its shape must have nothing that a shell would want quoted."""
    inside = {
        (provider, name)
        for provider, _, _, fix in templates()
        for line in fix.commands
        for quoted in QUOTED.findall(line)
        for name in filling.PLACEHOLDER.findall(quoted)
    }
    provider, name = data.draw(st.sampled_from(sorted(inside)))
    value = data.draw(st.from_regex(PROVIDERS[provider].SHAPES[name], fullmatch=True))
    assert shlex.quote(value) == value


HOSTILE = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="-@$`'\"\\;|&<>(){}[]*?!#~=%^:, \n\r\t\x00\x1b\u202eAa1./", max_size=40),
    st.sampled_from(["$(reboot)", "`id`", "a; rm -rf /", "--profile", "-x", "@/etc/passwd", "file:///etc/passwd", "a\nb", "é\u202e", "x' 'y", "..", "a/../b"]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([fix for *_, fix in templates() if fix.commands]), st.sampled_from(sorted({*PROVIDERS, "register"})), HOSTILE)
def test_each_word_is_the_value_unchanged_or_the_placeholder_in_capitals(fix: Fix, provider: str, text: str) -> None:
    shapes = dict.fromkeys(ALL_PLACEHOLDERS, re.compile(".*", re.DOTALL)) | dict(PROVIDERS.get(provider, register).SHAPES)
    quoted = {name for line in fix.commands for part in QUOTED.findall(line) for name in filling.PLACEHOLDER.findall(part)}
    values: dict[str, str | None] = dict.fromkeys(ALL_PLACEHOLDERS - quoted, text)  # what stands in quotes has a test of its own
    done = filling.filled(fix, values, shapes)
    for template, line in zip(fix.commands, done.commands, strict=True):
        before, after = shlex.split(template), shlex.split(line)
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            parts = filling.PLACEHOLDER.split(one)
            form = "".join(f"({re.escape(text)}|{part.upper()})" if number % 2 else re.escape(part) for number, part in enumerate(parts))
            assert re.fullmatch(form, other)
        assert line.isprintable()
    assert done.console is None or done.console.isprintable()


NAMED = [
    *(("aws", kind, None) for kind in ("user", "role", "access-key", "server-certificate", "secret")),
    *(("azure", kind, None) for kind in ("application", "service-principal", "user", "client-secret")),
    *(("gcp", kind, None) for kind in ("service-account", "service-account-key")),
    *(("vault", kind, None) for kind in ("entity", "token")),
    ("gcp", "member", "{}"), ("gcp", "member", "user:{}"), ("gcp", "workload-identity-provider", "pool/{}"),
    ("vault", "approle", "{}"), ("vault", "user", "userpass/{}"), ("vault", "auth-role", "{}/role"), ("vault", "secret", "secret/{}"),
    ("vault", "lease", "{}"), ("vault", "database-role", "database_1:{}"), ("vault", "certificate", "pki_1:{}"),
    ("aws", "shared-resource", "arn:aws:s3:::{}"), ("aws", "secret", "arn:aws:secretsmanager:eu-west-2:444455556666:secret:{}"),
    ("azure", "lighthouse-delegation", "{}"), ("aws", "access-key", "{}"), ("azure", "client-secret", "{}"),
]  # fmt: skip
"""Provider and kind, and where in the subject's own id a hostile text may be; None: only in its name."""


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(NAMED), st.sampled_from(sorted(CONTROLS)), HOSTILE.filter(bool))
def test_no_finding_gets_a_word_more_by_its_names(named: tuple[str, str, str | None], control: str, text: str) -> None:
    provider, kind, form = named
    found = [
        fixed(control, provider, kind, name=name, subject=uid(provider, kind, form.format(name)) if form else None)
        for name in ("harmless", text)
    ]
    counts = [[len(shlex.split(line)) for line in fix.commands] for fix in found]
    assert counts[0] == counts[1]
    assert found[0].says == found[1].says
    assert all(line.isprintable() for line in (*found[1].commands, found[1].console or ""))


@settings(max_examples=100, deadline=None)
@given(HOSTILE)
def test_a_user_of_aws_is_named_exactly_or_not_at_all(text: str) -> None:
    fix = fixed("contract-ended", "aws", "user", name=text)
    words = shlex.split(fix.commands[1])
    named = words[words.index("--user-name") + 1]
    assert named in {text, "USER_NAME"}
    assert not named.startswith(("-", "file:"))
    assert (named == text) == bool(aws.SHAPES["user_name"].fullmatch(text))


def test_a_name_is_written_down_as_it_is() -> None:
    fix = fixed("rotation-age", "aws", "access-key", name="a+b=c,d.e@f-g")
    assert fix.commands[2] == "aws iam update-access-key --user-name a+b=c,d.e@f-g --access-key-id AKIAWO645SY5MOFAMNBF --status Inactive"
    nameless = fixed("rotation-age", "aws", "access-key")
    assert "USER_NAME" not in "".join(nameless.commands)
    stand_in = fixed("rotation-age", "aws", "access-key", subject=uid("aws", "access-key", "AIDAIJJBJZUKX6FYUYYAJ@20260101T000000Z#1"))
    assert stand_in.commands[2] == "aws iam update-access-key --user-name legacy-ftp --access-key-id ACCESS_KEY_ID --status Inactive"
    unread = fix_of(known("rotation-age", "aws", "access-key")._replace(identity_name=None))
    assert unread is not None
    assert "--user-name USER_NAME " in unread.commands[2]
    assert (
        unread.console
        == "IAM > Users > NAME > Security credentials > Access keys > Create access key; then AKIAWO645SY5MOFAMNBF > Actions > Deactivate"
    )


# ---- a real OpenBao ----


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxVault]:
    with SandboxVault() as running:
        yield running


def run(server: SandboxVault, line: str) -> str:
    words = shlex.split(line)
    assert words[0] == "vault"
    told = {"BAO_ADDR": server.address, "BAO_TOKEN": server.root_token, "HOME": "/nonexistent"}
    done = subprocess.run([bao(), *words[1:]], env=told, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (line, done.stderr)
    return done.stdout


def done(server: SandboxVault, finding: Known, *, upto: int | None = None, **filled_in: str) -> list[str]:
    fix = fix_of(finding)
    assert fix is not None
    lines = [
        re.sub("|".join(map(re.escape, filled_in)) or "(?!)", lambda m: filled_in[m[0]], line.removeprefix(LAST)) for line in fix.commands
    ]
    return [run(server, line) for line in lines[:upto] if line.startswith("vault ")]


def test_the_vault_commands_work_on_a_real_server(server: SandboxVault) -> None:
    for kind in ("approle", "userpass", "jwt"):
        server.enable_auth(kind)
    admin = server.client()
    admin.secrets.kv.v2.create_or_update_secret("app/db", {"password": "x", "user": "shop"})
    admin.write("auth/approle/role/etl", token_ttl="1h")
    admin.write("auth/userpass/users/devika", password="x" * 12)
    admin.write_data(
        "auth/jwt/config", data={"jwt_validation_pubkeys": [], "jwks_url": None, "oidc_discovery_url": None}
    ) if False else None
    login = admin.write("auth/approle/role/etl/secret-id")["data"]
    admin.write("auth/jwt/role/ci", role_type="jwt", user_claim="sub", bound_audiences=["shop"], bound_claims_type="glob", token_ttl="1h")
    server.pki()
    serial = server.certificate("shop.example")
    pki = admin.read("sys/mounts")["data"]["pki/"]["accessor"]
    entity = admin.write("identity/entity", name="person")["data"]["id"]
    token = admin.auth.token.create(ttl="1h")["auth"]["accessor"]

    def about(control: str, kind: str, native: str, **other: Any) -> Known:
        return known(control, "vault", kind, subject=uid("vault", kind, native), **other)

    role = uid("vault", "approle", "etl")
    done(server, about("credential-expiry", "secret-id", login["secret_id_accessor"], identity=role))
    assert admin.read("auth/approle/role/etl")["data"]["secret_id_ttl"] == 720 * 3600
    left = admin.list("auth/approle/role/etl/secret-id")["data"]["keys"]
    assert (len(left), login["secret_id_accessor"] in left) == (1, False)

    done(server, about("over-privileged", "approle", "etl"), SMALLER_POLICY="small")
    done(server, about("inactive", "approle", "etl"), upto=2)
    told = admin.read("auth/approle/role/etl")["data"]
    assert (told["secret_id_bound_cidrs"], told["token_policies"], told["token_ttl"]) == (["255.255.255.255/32"], ["small"], 3600)

    folder = {"FOLDER": "role", "ROLE_TYPE": "jwt", "BOUND_CLAIMS_TYPE": "glob"}
    done(server, about("unconditioned-trust", "auth-role", "jwt/ci"), **folder, AUDIENCE="shop", SUBJECT="repo")
    done(server, about("unknown-third-party", "auth-role", "jwt/ci"), upto=2, **folder)
    told = admin.read("auth/jwt/role/ci")["data"]
    assert (told["bound_subject"], told["bound_audiences"], told["token_ttl"]) == ("repo", ["shop"], 3600)
    assert told["token_bound_cidrs"] == ["255.255.255.255"]

    done(server, about("inactive", "user", "userpass/devika"), upto=2)
    assert admin.read("auth/userpass/users/devika")["data"]["token_bound_cidrs"] == ["255.255.255.255"]
    done(server, about("inactive", "entity", entity), upto=2)
    assert admin.read(f"identity/entity/id/{entity}")["data"]["disabled"] is True
    done(server, about("contract-ended", "entity", entity))
    assert admin.read(f"identity/entity/id/{entity}") is None

    done(server, about("inactive", "token", token))
    with pytest.raises(hvac.exceptions.VaultError, match="invalid accessor"):
        admin.auth.token.lookup_accessor(token)
    done(server, about("used-after-end", "secret", "secret/app/db"))
    assert admin.secrets.kv.v2.read_secret_metadata("app/db")["data"]["versions"]["1"]["deletion_time"]
    done(server, about("used-after-end", "certificate", f"{pki}:{serial}"), MOUNT="pki")
    assert admin.read(f"pki/cert/{serial}")["data"]["revocation_time"] > 0
