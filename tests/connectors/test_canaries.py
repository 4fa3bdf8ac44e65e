"""Canaries at each provider: found failing as they were meant to, refused once they are switched off, and gone without a trace."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import hvac
import pytest

from connectors import aws, gcp, vault
from connectors.aws import sdk
from connectors.gcp import door
from countersign import canary, pace, scaffold, verdicts
from countersign.canary import PARTNER, PREFIX, CanaryError, Planted, planter
from countersign.expectation import expectations
from countersign.judge import judge
from countersign.offboarding.closure import close
from countersign.programme import AwsSource, AzureSource, GcpSource, Source, VaultSource, load
from countersign.reading import connector
from countersign.register.records import Partner, Policies
from countersign.rehearsal import looked
from countersign.revocation import Change, Left, revoker
from sandbox.aws import SandboxAws
from sandbox.gcp import SandboxGcp
from sandbox.gcp.contract import Contract as GoogleContract
from sandbox.graph import SandboxGraph
from sandbox.graph.contract import Contract as GraphContract
from sandbox.vault import SandboxVault
from sandbox.vault_snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from countersign.canary import Planter
    from countersign.programme import Programme
    from countersign.reading import Scope
    from countersign.revocation import Hand, Holding

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=300)
DRILL = "7k2p"
ACCOUNT, PROJECT, TENANT = "444455556666", "northwind-drills", "00000000-0000-4000-8000-00000000d111"
MOUNT = f"{PREFIX}approle/"
OURS = frozenset({"named-owner", "workload-registered"})
BREAKS = {
    "aws": {"user": OURS, "role": OURS | {"over-privileged"}},
    "azure": {"application": OURS, "service-principal": OURS},
    "gcp": {"service-account": OURS},
    "vault": {"approle": OURS},
}


@dataclass(slots=True)
class Bench:
    """One provider with a scope set aside in which others have something too, and a third identity that drills there."""

    source: Source
    snapshot: Callable[[], dict[str, Any]]
    drills: dict[str, str]
    """The environment of the identity that drills."""
    others: dict[str, dict[str, str]]
    """The environment that the reader, and the one who revokes, would drill with."""
    monkeypatch: pytest.MonkeyPatch
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        return connector(self.source.provider).scopes(self.source)[0]

    def planter(self, **environment: str) -> Planter:
        for name, value in (environment or self.drills).items():
            self.monkeypatch.setenv(name, value)
        return planter(self.source.provider, self.source, self.scope, now=lambda: NOW)

    def hand(self) -> Hand:
        return revoker(self.source.provider).hand(self.source, self.scope, run="drill", now=lambda: datetime.now(UTC))

    def programme(self, folder: Path) -> Programme:
        """Give a programme of this source only, whose register has one more partner, and no limit by policy."""
        scaffold.init(folder, customer="northwind")
        held = load(folder)
        drilled = {"id": PARTNER, "name": "Drill", "contract": {"reference": "-", "starts": date(2026, 1, 1)}}
        footprint = {"name_patterns": (f"{PREFIX}*",), "tags": {PARTNER: "yes"}}
        partner = Partner.model_validate({**drilled, "footprint": footprint})
        none = {"expiry_required": ()}
        changed = {"partners": {PARTNER: partner}, "policies": Policies.model_validate({"human": none, "machine": none})}
        return replace(held, sources=(self.source,), register=held.register.model_copy(update=changed))


@pytest.fixture
def in_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(sdk, "session", cache(sdk.session.__wrapped__))  # a process looks for credentials once, a test each time
    pace._budgets.clear()  # what an earlier test has asked for is not to hold up this one
    with SandboxAws() as cloud:
        cloud.at(NOW)
        account = cloud.account(ACCOUNT)
        keys = {}
        for name, allowed in (
            ("reader", {*aws.PERMISSIONS, *aws.LOOK_PERMISSIONS}),
            ("revoker", aws.REVOKE_PERMISSIONS),
            ("driller", aws.DRILL_PERMISSIONS),
        ):
            account.user(name, LONG_AGO)
            keys[name] = {"AWS_ACCESS_KEY_ID": account.key(name, LONG_AGO), "AWS_SECRET_ACCESS_KEY": "of-the-sandbox"}
            cloud.only(ACCOUNT, f"user/{name}", allowed)
        account.user(f"acme-{PREFIX}{DRILL}", LONG_AGO)
        account.key(f"acme-{PREFIX}{DRILL}", LONG_AGO)
        account.role(f"acme-{PREFIX}{DRILL}", {"Version": "2012-10-17", "Statement": []}, LONG_AGO)
        for name, value in {**SandboxAws.environment, **keys["reader"]}.items():
            monkeypatch.setenv(name, value)
        for name, value in keys["revoker"].items():
            monkeypatch.setenv(f"COUNTERSIGN_REVOKE_{name}", value)
        yield Bench(
            AwsSource(name="aws", accounts=(ACCOUNT,), regions=("eu-west-2",), endpoint=cloud.endpoint), cloud.snapshot,
            named(keys["driller"]), {one: named(keys[one]) for one in ("reader", "revoker")}, monkeypatch, {"cloud": cloud},
        )  # fmt: skip


@pytest.fixture
def in_azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with SandboxGraph(contract=GraphContract.found()) as graph:
        tenant = graph.tenant(TENANT)
        tenant.azure.subscription("drills")
        driller = tenant.application("driller", LONG_AGO)
        # The stand-in does not know who made what, so it takes the permission over all applications to delete one.
        tenant.app_role(driller.service_principal, "Application.ReadWrite.All", LONG_AGO)
        secret = tenant.secret_text(tenant.secret(driller.id, LONG_AGO, NOW + timedelta(days=90)))
        reader = tenant.environment()
        tenant.secret(tenant.application(f"acme-{PREFIX}{DRILL}", LONG_AGO).id, LONG_AGO, None)
        # Somebody else's published application may call itself anything.
        tenant.foreign(f"{PREFIX}{DRILL}", "99999999-0000-4000-8000-000000000001")
        for name, value in {**reader, **tenant.revoking_environment()}.items():
            monkeypatch.setenv(name, value)
        at = graph.address
        yield Bench(
            AzureSource(name="entra", tenant=TENANT, graph=at, authority=at, management=at, ca=str(graph.ca)),
            lambda: {name: part for name, part in graph.snapshot()[TENANT].items() if name != "deleted"},
            named({"AZURE_CLIENT_ID": driller.app_id, "AZURE_CLIENT_SECRET": secret}), {"reader": named(reader)}, monkeypatch,
            {"tenant": tenant},
        )  # fmt: skip
        assert (graph.broken_requests, graph.broken_answers) == ([], [])


@pytest.fixture
def in_gcp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    monkeypatch.setattr(door, "_default_credentials", door._default_credentials.__wrapped__)  # a process asks once, a test each time
    with SandboxGcp(contract=GoogleContract.read(), tls=True, anonymous=False) as cloud:
        project, tools = cloud.project(PROJECT, "100000000001"), cloud.project("northwind-tools", "100000000002")
        files = {}
        for name, allowed in (("reader", gcp.PERMISSIONS), ("revoker", gcp.REVOKE_PERMISSIONS), ("driller", gcp.DRILL_PERMISSIONS)):
            account = cloud.caller(tools.service_account(name), *allowed)
            path = tmp_path / name
            path.write_text(cloud.key_file(tools.key(account, f"{name}-key", NOW)), "utf-8")
            files[name] = {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}
        project.key(project.service_account(f"my-{PREFIX}{DRILL}"), "k1", NOW)
        tools.key(tools.service_account(f"{PREFIX}{DRILL}"), "k2", NOW)
        for begin, name in (("", "reader"), ("COUNTERSIGN_REVOKE_", "revoker")):
            monkeypatch.setenv(f"{begin}GOOGLE_APPLICATION_CREDENTIALS", files[name]["GOOGLE_APPLICATION_CREDENTIALS"])
        yield Bench(
            GcpSource(name="google", projects=(PROJECT,), endpoint=cloud.endpoint, rest=cloud.rest, ca=str(cloud.ca)), cloud.snapshot,
            named(files["driller"]), {one: named(files[one]) for one in ("reader", "revoker")}, monkeypatch, {"cloud": cloud},
        )  # fmt: skip
        assert cloud.broken_answers == []


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as running:
        running.namespace("drills")
        for namespace in (None, "drills"):
            for path in ("approle", f"acme-{PREFIX}approle"):
                running.enable_auth("approle", path=path, namespace=namespace)
            running.approle(f"{PREFIX}{DRILL}-of-acme", namespace=namespace)
            running.login(f"{PREFIX}{DRILL}-of-acme", namespace=namespace)
        yield running


@pytest.fixture
def in_vault(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    inside = ("drills",)
    hcl = {
        "reader": vault.policy_hcl(namespaces=inside), "revoker": vault.revoke_hcl(namespaces=inside),
        "driller": vault.drill_hcl(namespaces=inside),
    }  # fmt: skip
    tokens = {name: {"VAULT_TOKEN": bao.reader_token(text, name=name)} for name, text in hcl.items()}
    for begin, name in (("", "reader"), ("COUNTERSIGN_REVOKE_", "revoker")):
        monkeypatch.setenv(f"{begin}VAULT_TOKEN", tokens[name]["VAULT_TOKEN"])
    made = Bench(
        VaultSource(name="vault", address=bao.address, leases=False), partial(snapshot, bao.address, bao.root_token),
        named(tokens["driller"]), {one: named(tokens[one]) for one in ("reader", "revoker")}, monkeypatch, {"bao": bao},
    )  # fmt: skip
    yield made
    with made.planter() as planting:
        planting.remove()  # so that a test that failed is the only one


@pytest.fixture(params=["aws", "azure", "gcp", "vault"])
def bench(request: pytest.FixtureRequest) -> Bench:
    made: Bench = request.getfixturevalue(f"in_{request.param}")
    return made


def named(environment: dict[str, str]) -> dict[str, str]:
    return {f"{canary.ENVIRONMENT}{name}": value for name, value in environment.items()}


def found(programme: Programme, planted: list[Planted], table: Path) -> tuple[dict[str, set[str]], tuple[Holding, ...]]:
    """Read and judge; give the controls that each subject fails, and what a plan for these canaries takes.

    The plan is for them only: a name is only a name, and others may have chosen one that begins the same way.
    """
    failing: dict[str, set[str]] = defaultdict(set)
    with looked(programme) as (readings, database), duckdb.connect() as db:
        judge(database, expectations(), readings)
        verdicts.write(table, database, expectations())
        closure = close(database, PARTNER, only=[one.uid for one in planted])
        judged = db.read_parquet(str(table))
        for row in judged.fetchall():
            verdict = dict(zip(judged.columns, row, strict=True))
            failing[verdict["subject"]] |= {name.replace("_", "-") for name, value in verdict.items() if value == verdicts.FAIL}
    assert closure.undecided == ()
    return failing, closure.holdings


def test_they_fail_what_they_are_meant_to_and_end_refused_and_removed(bench: Bench, tmp_path: Path) -> None:
    before, programme = bench.snapshot(), bench.programme(tmp_path / "northwind")
    with bench.planter() as planting:
        assert planting.remove() == ()
        planted = list(planting.plant(DRILL))
        assert all(one.secret is None or one.secret not in repr(one) for one in planted)
        judged, held = found(programme, planted, tmp_path / verdicts.NAME)
        meant = BREAKS[bench.source.provider]
        assert set(meant) == {kind(one) for one in planted}
        for one in planted:
            assert set(one.breaks) == meant[kind(one)] == judged[one.uid] | judged[one.credential or ""]
        tried(bench, planted, refused=False)

        assert {one.uid for one in planted} == {one.identity_uid for one in held}
        with bench.hand() as hand:
            changes = list(hand.changes(held, "disable", NOW))
            assert [one for one in changes if isinstance(one, Left)] == []
            for change in sorted((one for one in changes if isinstance(one, Change)), key=lambda one: one.place):
                hand.write(change)
                assert change.after == hand.look(change)
        tried(bench, planted, refused=True)

        names = planting.remove()
        assert all(one.startswith(PREFIX) for one in names)
        assert bench.snapshot() == before
        assert planting.remove() == ()


def kind(one: Planted) -> str:
    return one.uid.split(":", 2)[2].partition("/")[0]


def tried(bench: Bench, planted: list[Planted], *, refused: bool) -> None:
    secrets = [(one.credential, one.secret) for one in planted if one.credential and one.secret]
    assert secrets
    with bench.hand() as hand:
        assert {refused} == {hand.attempt(credential, secret).refused for credential, secret in secrets}


def test_what_a_killed_drill_left_is_removed_by_the_next(bench: Bench) -> None:
    before = bench.snapshot()
    with bench.planter() as planting:
        next(iter(planting.plant(DRILL)))  # and no more: killed
    with bench.planter() as again:
        assert again.remove()
        assert len(list(again.plant("another"))) == len(list(again.plant("one-more-with-a-longer-name")))
        assert again.remove()
    assert bench.snapshot() == before


def test_who_reads_or_revokes_can_plant_nothing(bench: Bench) -> None:
    before = bench.snapshot()
    for environment in bench.others.values():
        with bench.planter(**environment) as planting, pytest.raises(CanaryError):
            list(planting.plant(DRILL))
    assert bench.snapshot() == before


def test_what_stays_is_named_and_the_rest_goes(in_aws: Bench, in_gcp: Bench) -> None:
    for bench, operation in ((in_aws, "iam:DeleteUser"), (in_gcp, "iam.serviceAccounts.delete")):
        cloud, place = bench.more["cloud"], bench.scope.name
        with bench.planter() as planting:
            planted = list(planting.plant(DRILL))
            cloud.deny(place, operation)
            with pytest.raises(CanaryError, match=f"in (account|project) {place} there stays {planted[0].name}"):
                planting.remove()
            cloud.allow(place, operation)
            assert (planted[0].name,) == planting.remove()


def test_an_identity_that_would_remove_itself_is_refused(in_aws: Bench, in_azure: Bench, in_gcp: Bench, tmp_path: Path) -> None:
    account = in_aws.more["cloud"].account(ACCOUNT)
    account.user(f"{PREFIX}runner", LONG_AGO)
    as_canary = {"AWS_ACCESS_KEY_ID": account.key(f"{PREFIX}runner", LONG_AGO), "AWS_SECRET_ACCESS_KEY": "of-the-sandbox"}
    with pytest.raises(CanaryError, match="is itself called"):
        in_aws.planter(**named(as_canary)).__enter__()
    cloud = in_gcp.more["cloud"]
    runner = cloud.caller(cloud.project(PROJECT).service_account(f"{PREFIX}runner"), *gcp.DRILL_PERMISSIONS)
    (tmp_path / "runner").write_text(cloud.key_file(cloud.project(PROJECT).key(runner, "k9", NOW)), "utf-8")
    with pytest.raises(CanaryError, match="is itself called"):
        in_gcp.planter(**named({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "runner")})).__enter__()
    tenant, client = in_azure.more["tenant"], in_azure.drills[f"{canary.ENVIRONMENT}AZURE_CLIENT_ID"]
    (number,) = [key for key, each in tenant.objects["applications"].items() if each["appId"] == client]
    tenant.change(number, displayName=f"{PREFIX}runner")
    before = in_azure.snapshot()
    with in_azure.planter() as planting, pytest.raises(CanaryError, match="has a canary's name itself"):
        planting.remove()
    assert before == in_azure.snapshot()


def test_an_account_that_manages_an_organisation_gets_no_administrator(in_aws: Bench) -> None:
    managing = replace(in_aws.scope, detail={"organization": ACCOUNT})
    for name, value in in_aws.drills.items():
        in_aws.monkeypatch.setenv(name, value)
    with planter("aws", in_aws.source, managing, now=lambda: NOW) as planting:
        assert ["user"] == [kind(one) for one in planting.plant(DRILL)]


def test_keys_of_another_account_make_nothing(in_aws: Bench) -> None:
    other = in_aws.more["cloud"].account("111122223333")
    other.user("driller", LONG_AGO)
    theirs = {"AWS_ACCESS_KEY_ID": other.key("driller", LONG_AGO), "AWS_SECRET_ACCESS_KEY": "of-the-sandbox"}
    with pytest.raises(CanaryError, match=f"belong to account 111122223333, not to {ACCOUNT}"):
        in_aws.planter(**named(theirs)).__enter__()


def test_another_application_of_the_same_name_gets_no_secret(in_azure: Bench) -> None:
    in_azure.more["tenant"].application(f"{PREFIX}{DRILL}", LONG_AGO)
    before = in_azure.snapshot()
    with in_azure.planter() as planting, pytest.raises(CanaryError, match="already"):
        list(planting.plant(DRILL))
    assert before == in_azure.snapshot()


def test_an_organization_of_google_is_no_place_for_canaries(in_gcp: Bench) -> None:
    everything = replace(in_gcp.scope, name="organizations/123456789012")
    with pytest.raises(CanaryError, match="no place for canaries"):
        planter("gcp", in_gcp.source, everything, now=lambda: NOW).__enter__()


def test_a_namespace_of_vault_is_drilled_in_alone(in_vault: Bench) -> None:
    source = VaultSource(name="vault", address=in_vault.more["bao"].address, namespaces=("drills",))
    before = in_vault.snapshot()
    for name, value in in_vault.drills.items():
        in_vault.monkeypatch.setenv(name, value)
    with planter("vault", source, vault.scopes(source)[1], now=lambda: NOW) as planting:
        planted = list(planting.plant(DRILL))
        assert all(one.uid.startswith("vault:vault/drills:approle/") for one in planted)
        during = in_vault.snapshot()
        assert (before["/"], set()) == (during["/"], set(during["drills/"]["methods"]) - {*before["drills/"]["methods"], MOUNT})
        planting.remove()
    assert before == in_vault.snapshot()


def test_who_drills_in_vault_writes_nothing_but_its_mount(in_vault: Bench) -> None:
    bao, token = in_vault.more["bao"], in_vault.drills[f"{canary.ENVIRONMENT}VAULT_TOKEN"]
    with in_vault.planter() as planting:
        list(planting.plant(DRILL))
        before, role = in_vault.snapshot(), f"auth/{MOUNT}role/{PREFIX}{DRILL}-token"
        for path, data in {
            "auth/approle/role/mine": {"secret_id_ttl": "0"},
            role: {"token_policies": "root"},
            f"{role}/secret-id": {"metadata": "{}", "token_bound_cidrs": "10.0.0.0/8"},
            f"auth/{MOUNT}config": {},
            "sys/auth/mine": {"type": "approle"},
            f"sys/auth/{MOUNT}".rstrip("/"): {"type": "userpass"},
            "sys/policies/acl/mine": {"policy": ""},
            "identity/entity": {"name": "mine"},
            "auth/token/create": {},
        }.items():
            with pytest.raises(hvac.exceptions.Forbidden):
                bao.client(token=token).write_data(path, data=data)
        assert before == in_vault.snapshot()


def test_who_drills_in_vault_may_log_in_by_an_approle(in_vault: Bench) -> None:
    bao = in_vault.more["bao"]
    role = bao.approle("driller", policies=["driller"])
    secret = bao.client().write_data("auth/approle/role/driller/secret-id", data={})["data"]["secret_id"]
    in_vault.monkeypatch.delenv(f"{canary.ENVIRONMENT}VAULT_TOKEN", raising=False)
    with in_vault.planter(**named({"VAULT_ROLE_ID": role, "VAULT_SECRET_ID": secret})) as planting:
        assert 2 == len(list(planting.plant(DRILL)))
        assert planting.remove()
        assert planting.remove() == ()  # its own entity is another mount's, and still there


def test_permissions_come_as_an_administrator_installs_them() -> None:
    for provider, names in {
        "aws": ["drill.json"],
        "azure": ["drill.json", "drill.txt"],
        "gcp": ["drill-project.yaml"],
        "vault": ["drill.hcl"],
    }.items():
        loaded: Any = connector(provider)
        files = {name: text for name, text in loaded.permission_files().items() if "drill" in name}
        assert names == list(files)
        assert loaded.DRILL_PERMISSIONS == tuple(sorted(set(loaded.DRILL_PERMISSIONS)))
        assert not [one for one in loaded.DRILL_PERMISSIONS if one.rpartition(" ")[2] not in "".join(files.values())]
        page = (Path(__file__).parents[2] / "docs" / "connectors" / f"{provider}.md").read_text(encoding="utf-8")
        assert "## Drills" in page
        assert all(f"```hcl\n{text}```" in page for name, text in files.items() if name.endswith(".hcl"))


def test_without_an_identity_that_drills_nothing_is_asked(bench: Bench) -> None:
    for name in bench.drills:
        bench.monkeypatch.delenv(name, raising=False)
    scope = bench.scope
    with pytest.raises(CanaryError, match="no identity that drills") as error:
        planter(bench.source.provider, bench.source, scope, now=lambda: NOW).__enter__()
    assert canary.ENVIRONMENT in str(error.value.fix)
