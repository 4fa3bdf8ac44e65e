"""Taking access away in Entra and Azure, against a local Graph that checks every write by Microsoft's own schema."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors import azure
from connectors.azure.revoking import AzureHand
from countersign.identity import Credential, Grant, Identity, Record, Trust, uid
from countersign.programme import AzureSource
from countersign.reading import ReadRequest
from countersign.revocation import ENVIRONMENT, SESSION, Change, Holding, Left, RevocationDeniedError, RevocationError, Tried
from sandbox.graph import SandboxGraph, SandboxTenant, snapshot

NOW = datetime(2026, 11, 22, 2, 0, 0, 400_000, tzinfo=UTC)
OLD = NOW - timedelta(days=200)
ACME = "3f0e0000-0000-4000-8000-00000000ac3e"
OTHER = "3f0e0000-0000-4000-8000-0000000007e4"
STRANGER = "99999999-0000-4000-8000-000000000001"
ISSUER = "https://token.acme.example"
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{}"


@dataclass
class Bench:
    """A tenant in which another partner has one of everything, and ways to plan and to make changes in it."""

    tenant: SandboxTenant
    graph: SandboxGraph

    @property
    def source(self) -> AzureSource:
        at = self.graph.address
        return AzureSource(name="entra", tenant=self.tenant.id, graph=at, authority=at, management=at, ca=str(self.graph.ca))

    def snapshot(self) -> dict[str, Any]:
        return snapshot.of(self.tenant)

    def uid(self, kind: str, native_id: str) -> str:
        return uid("azure", self.tenant.id, kind, native_id)

    def read(self) -> tuple[Record, ...]:
        request = ReadRequest(source=self.source, scope=azure.scopes(self.source)[0], run="r1", now=lambda: NOW)
        return tuple(azure.read(request))

    def identity(self, subject: str) -> Identity | None:
        return next((each for each in self.read() if isinstance(each, Identity) and each.uid == subject), None)

    def held(self, *subjects: str, whole: bool = True, others: tuple[str, ...] = ()) -> tuple[Holding, ...]:
        """Say of everything that belongs to some identities that it is the partner's."""
        found: list[Holding] = []
        for each in self.read():
            whose = each.identity_uid if isinstance(each, Credential | Grant | Trust) else each.uid if isinstance(each, Identity) else ""
            if whose in subjects:
                found.append(replace(holding(each, whose, len(found)), whole=whole, others=others))
        return tuple(found)

    @contextmanager
    def hand(self) -> Iterator[AzureHand]:
        with azure.hand(self.source, azure.scopes(self.source)[0], run="r1", now=lambda: NOW, sleep=lambda _: None) as made:
            yield made

    def said(self, holdings: Iterable[Holding], phase: Any = "disable") -> tuple[Change | Left, ...]:
        with self.hand() as hand:
            return tuple(hand.changes(tuple(holdings), phase, NOW))

    def plan(self, holdings: Iterable[Holding], phase: Any = "disable") -> tuple[Change, ...]:
        """Plan, twice alike, for what can be taken away wholly."""
        with self.hand() as hand:
            said, again = (tuple(hand.changes(tuple(holdings), phase, NOW)) for _ in range(2))
        assert said == again
        assert [] == [each for each in said if isinstance(each, Left)]
        return tuple(sorted((each for each in said if isinstance(each, Change)), key=lambda each: each.place))

    def apply(self, changes: Iterable[Change]) -> None:
        with self.hand() as hand:
            for change in changes:
                assert change.before == hand.look(change)
                hand.write(change)
                assert change.after == hand.look(change)


def holding(record: Any, whose: str, number: int) -> Holding:
    what: Any = type(record).__name__.lower()
    kind = {"grant": "role", "trust": "party_kind"}.get(what, "kind")
    return Holding(
        uid=f"{whose}#{what}/{number}" if what in {"grant", "trust"} else record.uid, what=what, kind=getattr(record, kind),
        provider="azure", source="entra", scope=record.scope, identity_uid=whose, name=getattr(record, "name", None) or whose, whole=True,
        how="registered", record=asdict(record),
    )  # fmt: skip


def flat(found: Any, at: str = "") -> dict[str, Any]:
    if isinstance(found, dict):
        return {path: value for key, each in found.items() for path, value in flat(each, f"{at}|{key}").items()}
    return {at: found}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    one, other = flat(before), flat(after)
    return {path for path in one.keys() | other.keys() if one.get(path, "nothing") != other.get(path, "nothing")}


@pytest.fixture
def bench(tenant: SandboxTenant, graph: SandboxGraph, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for name, value in {**tenant.environment(), **tenant.revoking_environment()}.items():
        monkeypatch.setenv(name, value)
    made = Bench(tenant, graph)
    everything(made, OTHER, "other")
    return made


def everything(bench: Bench, home: str, name: str) -> dict[str, tuple[str, str]]:
    """Give a partner one of each kind; returns each kind's (subject, id that its changes show)."""
    tenant = bench.tenant
    (prod,) = tenant.azure.subscriptions
    published = tenant.foreign(name, home)
    own = tenant.application(f"{name}-own", OLD)
    tenant.secret(own.id, OLD, NOW + timedelta(days=90))
    tenant.certificate(own.id, OLD, NOW + timedelta(days=90))
    tenant.federated(own.id, f"https://token.{name}.example", "repo:x")
    tenant.app_role(published, "Mail.Read", OLD)
    tenant.app_role(own.service_principal, "Directory.Read.All", OLD)
    tenant.delegated(published, "Mail.Read User.Read")
    tenant.directory_role(published, "Global Reader")
    tenant.directory_role(published, "User Administrator", eligible=True, scheduleInfo={"expiration": {"type": "noExpiration"}})
    tenant.azure.role(published, "Contributor", f"/subscriptions/{prod}/resourceGroups/{name}", OLD)
    managed = tenant.managed_identity(f"{name}-mi", IDENTITY.format(name))
    agent = tenant.add(
        "servicePrincipals/microsoft.graph.agentIdentity", displayName=f"{name}-agent", servicePrincipalType="ServiceIdentity",
        appOwnerOrganizationId=tenant.id,
    )  # fmt: skip
    guest = tenant.guest(f"ann@{name}.example", OLD)
    member = tenant.user(f"bob@{name}.example", OLD)
    tenant.directory_role(member, "User Administrator")
    foreign = tenant.new_id("foreign")
    tenant.directory_role(foreign, "Global Reader", organization=home)
    tenant.azure.role(foreign, "Reader", f"/subscriptions/{prod}", OLD, principal_type="ForeignGroup")
    tenant.partner(
        home, inboundTrust={"isMfaAccepted": True, "isCompliantDeviceAccepted": True, "isHybridAzureADJoinedDeviceAccepted": False}
    )
    lighthouse = tenant.azure.lighthouse(home, prod, {foreign: "Contributor"}, name=name).strip("/").lower()
    return {
        "published": (bench.uid("service-principal", published), published),
        "application": (bench.uid("application", own.id), own.id),
        "principal": (bench.uid("service-principal", own.service_principal), own.service_principal),
        "managed": (bench.uid("service-principal", managed), managed),
        "agent": (bench.uid("service-principal", agent), agent),
        "guest": (bench.uid("user", guest), guest),
        "member": (bench.uid("user", member), member),
        "foreign": (bench.uid("foreign-principal", foreign), foreign),
        "tenant": (bench.uid("partner-tenant", home), home),
        "lighthouse": (bench.uid("lighthouse-delegation", lighthouse), lighthouse),
    }


ACTIONS = {
    "published": ["disable-service-principal", "remove-app-role", "remove-azure-role", "remove-consent", "remove-directory-role", "remove-eligible-role"],
    "application": ["disable-application", "divert-federated-credential"],
    "principal": ["disable-service-principal", "remove-app-role"],
    "managed": ["disable-service-principal"],
    "agent": ["disable-agent-identity"],
    "guest": ["disable-user"],
    "member": ["disable-user", "end-sessions", "remove-directory-role"],
    "foreign": ["remove-azure-role", "remove-directory-role"],
    "tenant": ["block-collaboration", "block-direct-connect", "withdraw-inbound-trust"],
    "lighthouse": ["delete-registration"],
}  # fmt: skip


@pytest.mark.parametrize("kind", ACTIONS)
def test_each_kind_is_switched_off_seen_so_and_given_back_and_nothing_else_changes(bench: Bench, kind: str) -> None:
    subject, native_id = everything(bench, ACME, "acme")[kind]
    assigned = bench.tenant.azure.tables["authorizationresources"].items()
    theirs = {native_id, *(key for key, row in assigned if row["properties"].get("principalId") == native_id)}
    whole = bench.snapshot()
    held = bench.held(subject)
    changes = bench.plan(held)
    assert ACTIONS[kind] == sorted(each.action for each in changes)
    assert {each.uid for each in held} == {taken for each in changes for taken in each.takes}
    assert whole == bench.snapshot(), "planning changes nothing"

    bench.apply(changes)
    assert {True} == {any(each in path.lower() for each in theirs) for path in changed(whole, bench.snapshot())}
    assert () == bench.said(held)
    told = bench.identity(subject)
    gone = kind in {"foreign", "lighthouse", "member"}  # people without a role who are no guests are not read
    assert (gone, None if gone else False) == (told is None, None if told is None else told.enabled)
    assert [] == [each for each in bench.read() if isinstance(each, Grant) and each.identity_uid == subject]

    reversible = [each.undone() for each in changes if each.reversible]
    bench.apply(reversed(reversible))
    left = changed(whole, bench.snapshot())
    if kind == "lighthouse":
        assert {True} == {"registrationassignments" in path for path in left}
    elif kind == "member":
        assert {"signInSessionsValidFromDateTime"} == {path.rpartition("|")[2] for path in left}
    elif kind == "foreign":
        assert {True} == {"roleAssignments" in path for path in left}  # Graph assigns to principals of the directory only
        assert [False] == [each.reversible for each in changes if each.action == "remove-directory-role"]
    else:
        assert set() == left


@pytest.mark.parametrize(("kinds", "actions"), [
    (("published",), ["delete-service-principal"]),
    (("application", "principal"), ["delete-application"]),
    (("principal",), ["delete-service-principal"]),
    (("agent",), ["delete-agent-identity"]),
    (("guest",), ["delete-user"]),
    (("member",), ["delete-user"]),
    (("foreign",), []),
    (("tenant",), []),
    (("lighthouse",), []),
])  # fmt: skip
def test_what_was_disabled_is_deleted_for_good(bench: Bench, kinds: tuple[str, ...], actions: list[str]) -> None:
    made = everything(bench, ACME, "acme")
    subjects = [made[kind][0] for kind in kinds]
    asked = bench.held(*subjects)
    bench.apply(bench.plan(asked))
    before, held = bench.snapshot(), bench.held(*subjects) if kinds != ("member",) else asked
    changes = bench.plan(held, "delete")
    assert actions == [each.action for each in changes]
    assert [False] * len(actions) == [each.reversible for each in changes]
    if actions:
        live = {each.uid for each in held if each.what != "grant"}
        assert live == {taken for each in changes for taken in each.takes}
    bench.apply(changes)
    ids = [made[kind][1] for kind in (*kinds, *(["principal"] if "application" in kinds else []))]
    touched = {path for path in changed(before, bench.snapshot()) if not path.endswith("|deleted")}
    assert set() == {path for path in touched if not any(each in path for each in ids)}
    assert [None] * len(actions) == [bench.identity(each) for each in subjects][: len(actions)]
    assert () == bench.said(held, "delete")


def test_a_partner_with_one_of_each_goes_as_a_whole_and_the_other_keeps_all(bench: Bench) -> None:
    made = everything(bench, ACME, "acme")
    subjects, theirs = [subject for subject, _ in made.values()], {native_id for _, native_id in made.values()}
    theirs |= {
        key for key, row in bench.tenant.azure.tables["authorizationresources"].items() if row["properties"].get("principalId") in theirs
    }
    before, held = bench.snapshot(), bench.held(*subjects)
    changes = bench.plan(held)
    assert sorted(action for actions in ACTIONS.values() for action in actions) == sorted(each.action for each in changes)
    bench.apply(changes)
    assert () == bench.said(held)
    said = bench.said(held, "delete")
    bench.apply(sorted((each for each in said if isinstance(each, Change)), key=lambda each: each.place))
    assert {made["managed"][0]} == {each.uid for each in said if isinstance(each, Left)}
    touched = {path for path in changed(before, bench.snapshot()) if not path.endswith("|deleted")}
    assert set() == {path for path in touched if not any(each in path.lower() for each in theirs)}


def test_an_application_is_not_deleted_over_the_head_of_its_service_principal(bench: Bench) -> None:
    made = everything(bench, ACME, "acme")
    held = bench.held(made["application"][0])
    assert {each.uid for each in held} == {each.uid for each in bench.said(held, "delete") if isinstance(each, Left)}
    both = (*held, *bench.held(made["principal"][0], whole=False))
    assert [] == [each for each in bench.said(both, "delete") if isinstance(each, Change) and each.action.startswith("delete-")]


def test_a_managed_identity_is_left_to_its_resource_when_it_comes_to_deleting(bench: Bench) -> None:
    subject, _ = everything(bench, ACME, "acme")["managed"]
    (said,) = bench.said(bench.held(subject), "delete")
    assert isinstance(said, Left)
    assert (subject, "Azure") == (said.uid, said.advice.rpartition(" ")[2])


def test_of_an_identity_that_is_not_the_partners_only_its_way_in_goes(bench: Bench) -> None:
    app = bench.tenant.application("deploy", OLD)
    theirs = bench.tenant.federated(app.id, ISSUER, "repo:acme", name="acme")
    bench.tenant.federated(app.id, "https://token.other.example", "repo:other", name="other")
    secret, spare = (bench.tenant.secret(app.id, OLD, NOW) for _ in range(2))
    one, two = (bench.tenant.certificate(app.id, OLD, NOW) for _ in range(2))
    subject, before = bench.uid("application", app.id), bench.snapshot()
    everything_held = bench.held(subject, whole=False, others=("other",))
    held = [each for each in everything_held if each.what == "identity" or each.record.get("party") == ISSUER]
    changes = bench.plan(held)
    assert ["divert-federated-credential"] == [each.action for each in changes]
    bench.apply(changes)
    assert {theirs} == {path.split("|")[3] for path in changed(before, bench.snapshot())}
    read = bench.read()
    assert ["https://token.other.example"] == [each.party for each in read if isinstance(each, Trust) and each.identity_uid == subject]
    switched = {each.uid: each.enabled for each in read if isinstance(each, Credential) and each.identity_uid == subject}
    assert [bench.uid("federated-credential", theirs)] == [each for each, enabled in switched.items() if not enabled]
    bench.apply(each.undone() for each in changes)
    assert before == bench.snapshot()

    keys = [each for each in everything_held if each.uid in {bench.uid("client-secret", secret), bench.uid("certificate", one)}]
    assert [Left, Left] == [type(each) for each in bench.said(keys)]
    bench.apply(bench.plan(keys, "delete"))
    found = bench.tenant.objects["applications"][app.id]
    assert ([spare], [two]) == tuple([each["keyId"] for each in found[name]] for name in ("passwordCredentials", "keyCredentials"))
    assert () == bench.said(keys, "delete")


def test_of_a_consent_only_the_words_that_are_held_go(bench: Bench) -> None:
    subject, native_id = everything(bench, ACME, "acme")["published"]
    held = [each for each in bench.held(subject) if (each.kind, each.record.get("via")) == ("Mail.Read", "delegated:everyone")]
    before = bench.snapshot()
    (change,) = bench.plan(held)
    assert ({"exists": True, "scope": "Mail.Read User.Read"}, {"exists": True, "scope": "User.Read"}) == (change.before, change.after)
    bench.apply([change])
    assert {True} == {native_id in path and path.endswith("|scope") for path in changed(before, bench.snapshot())}
    bench.apply([change.undone()])
    assert before == bench.snapshot()


def test_what_came_again_under_the_same_name_is_another_one(bench: Bench) -> None:
    subject, native_id = everything(bench, ACME, "acme")["published"]
    change = next(each for each in bench.plan(bench.held(subject)) if each.action == "disable-service-principal")
    said = bench.tenant.objects["servicePrincipals"].pop(native_id)
    anew = bench.tenant.add("servicePrincipals", **{**said, "id": bench.tenant.new_id("anew")})
    with bench.hand() as hand:
        assert {"exists": False} == hand.look(change)
        with pytest.raises(RevocationError, match="404"):
            hand.write(change)
    assert bench.tenant.objects["servicePrincipals"][anew]["accountEnabled"] is True


def test_an_assignment_that_is_known_by_another_name_is_never_called_away(bench: Bench) -> None:
    subject, _ = everything(bench, ACME, "acme")["published"]
    held = [each for each in bench.held(subject) if each.what == "grant"]
    renamed = [replace(each, record={**each.record, "role": "Nothing.Of.The.Kind"}) for each in held]
    assert {each.uid for each in renamed} == {each.uid for each in bench.said(renamed) if isinstance(each, Left)}


def test_a_service_provider_and_a_synchronised_account_are_left_with_what_a_person_does(bench: Bench) -> None:
    bench.tenant.partner(ACME, service_provider=True)
    provider = bench.uid("partner-tenant", ACME)
    said = bench.said(bench.held(provider))
    assert ["block-collaboration", "block-direct-connect"] == [each.action for each in said if isinstance(each, Change)]
    assert provider in {each.uid for each in said if isinstance(each, Left)}
    synced = bench.tenant.user("eve@acme.example", OLD, onPremisesSyncEnabled=True)
    bench.tenant.directory_role(synced, "User Administrator")
    said = bench.said(bench.held(bench.uid("user", synced)))
    assert ({Left: 1, Change: 1}) == {kind: sum(isinstance(each, kind) for each in said) for kind in (Left, Change)}


def test_sessions_of_an_account_that_others_use_are_not_ended(bench: Bench) -> None:
    subject, _ = everything(bench, ACME, "acme")["member"]
    changes = bench.plan(bench.held(subject, others=("other",)))
    assert [] == [each for each in changes if each.order == SESSION]
    residual = next(each.residual for each in changes if each.action == "disable-user")
    assert residual is not None
    assert "others use the account too" in residual.what


def test_the_reader_cannot_write_and_the_revoker_is_never_the_reader(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made = everything(bench, ACME, "acme")
    changes = bench.plan(bench.held(*(subject for subject, _ in made.values())))
    before = bench.snapshot()
    with bench.hand() as hand:
        reader, revoker = hand.who()
    assert reader != revoker
    client, secret = bench.tenant.reader()
    monkeypatch.setenv(f"{ENVIRONMENT}AZURE_CLIENT_ID", client)
    monkeypatch.setenv(f"{ENVIRONMENT}AZURE_CLIENT_SECRET", secret)
    with bench.hand() as hand:
        for change in changes:
            with pytest.raises(RevocationDeniedError, match=r"Authorization_RequestDenied|AuthorizationFailed"):
                hand.write(change)
    monkeypatch.setenv("AZURE_CLIENT_ID", client)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", secret)
    bench.graph.clear()
    with bench.hand() as hand, pytest.raises(RevocationDeniedError, match="is the one that reads"):
        hand.write(changes[0])
    assert {"GET", "POST"} == {each.method for each in bench.graph.requests}  # POST: for tokens
    monkeypatch.delenv(f"{ENVIRONMENT}AZURE_CLIENT_ID")
    with bench.hand() as hand, pytest.raises(RevocationError, match="no revoking identity"):
        hand.who()
    assert before == bench.snapshot()


@pytest.mark.parametrize("variable", ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"])
def test_a_revoker_whose_proof_cannot_be_used_says_which_variable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, variable: str
) -> None:
    monkeypatch.delenv(f"{ENVIRONMENT}AZURE_CLIENT_SECRET")
    if variable != "AZURE_CLIENT_SECRET":
        (tmp_path / "file").write_text("hush")
        monkeypatch.setenv(f"{ENVIRONMENT}{variable}", str(tmp_path / "file"))
    with bench.hand() as hand, pytest.raises(RevocationError) as caught:
        hand.who()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("kind", ["published", "application", "member", "tenant", "lighthouse"])
def test_refused_and_only_pretended_writes_are_told_from_made_ones(bench: Bench, kind: str) -> None:
    subject, _ = everything(bench, ACME, "acme")[kind]
    changes, before = bench.plan(bench.held(subject)), bench.snapshot()
    bench.graph.refuse_writes("/")
    with bench.hand() as hand:
        for change in changes:
            with pytest.raises(RevocationDeniedError, match="403"):
                hand.write(change)
    bench.graph.heal()
    bench.graph.ignore_writes("/")
    with bench.hand() as hand:
        for change in changes:
            hand.write(change)
            assert change.before == hand.look(change)
    bench.graph.heal()
    assert before == bench.snapshot()
    held = bench.held(subject)
    bench.graph.deny("/v1.0/" if kind != "lighthouse" else "/subscriptions/")
    with pytest.raises(RevocationDeniedError, match="403"):
        bench.said(held)


def test_a_write_is_sent_once_unless_the_service_says_that_it_did_not_look_at_it(bench: Bench) -> None:
    subject, native_id = everything(bench, ACME, "acme")["guest"]
    (change,) = bench.plan(bench.held(subject))
    bench.graph.clear()
    bench.graph.break_answer(f"/v1.0/users/{native_id}", "500", times=1)
    with bench.hand() as hand:
        with pytest.raises(RevocationError, match="500"):
            hand.write(change)
        assert ["PATCH"] == [each.method for each in bench.graph.requests if each.path.endswith(native_id)]
        assert change.after == hand.look(change), "it was made, and only its answer was lost"
        bench.graph.throttle(2, prefix=f"/v1.0/users/{native_id}")
        hand.write(change.undone())
        hand.write(change)
        assert change.after == hand.look(change)
    assert not [each for each in bench.graph.requests if each.in_batch and each.method != "GET"]


def test_a_secret_that_worked_is_refused_afterwards(bench: Bench) -> None:
    made = everything(bench, ACME, "acme")
    subject, app_id = made["application"][0], made["application"][1]
    key_id = bench.tenant.objects["applications"][app_id]["passwordCredentials"][0]["keyId"]
    text, credential = bench.tenant.secret_text(key_id), bench.uid("client-secret", key_id)
    client = bench.tenant.objects["applications"][app_id]["appId"]
    in_full = f'{{"clientId": "{client}", "clientSecret": "{text}"}}'

    def refused(attempted: Callable[[AzureHand], Tried]) -> tuple[bool | None, str]:
        with bench.hand() as hand:
            tried = attempted(hand)
        assert text not in tried.said
        return tried.refused, tried.said.partition(":")[0]

    assert (False, "it gave a token") == refused(lambda hand: hand.attempt(credential, text))
    assert (True, "AADSTS7000215") == refused(lambda hand: hand.attempt(credential, text + "x"))
    bench.apply(bench.plan(bench.held(subject)))
    assert (True, "AADSTS7000112") == refused(lambda hand: hand.attempt(credential, text))
    assert (True, "AADSTS7000112") == refused(lambda hand: hand.attempt(subject, text))
    bench.apply(bench.plan(bench.held(subject, made["principal"][0]), "delete"))
    assert None is refused(lambda hand: hand.attempt(credential, text))[0]
    assert (True, "AADSTS700016") == refused(lambda hand: hand.attempt(credential, in_full))
    assert None is refused(lambda hand: hand.attempt(made["guest"][0], text))[0]


def test_another_tenants_holdings_are_refused_before_anything_is_asked(bench: Bench) -> None:
    subject, _ = everything(bench, ACME, "acme")["guest"]
    (held,) = bench.held(subject)
    with pytest.raises(RevocationError, match="is nothing of tenant"):
        bench.said([replace(held, identity_uid=uid("azure", OTHER, "user", STRANGER))])
    (change,) = bench.plan([held])
    for wrong in (replace(change, scope=OTHER), replace(change, source="another"), replace(change, action="paint-it-green")):
        with bench.hand() as hand, pytest.raises(RevocationError, match="is no change of tenant"):
            hand.write(wrong)


def test_hostile_names_do_nothing_to_who_reads_the_plan(bench: Bench) -> None:
    name = "=cmd|' /C calc'!A1 <b>\x1b[31m\u202egpj.exe" + "x" * 10_000
    published = bench.tenant.foreign(name, ACME)
    bench.tenant.app_role(published, "Mail.Read", OLD)
    changes = bench.plan(bench.held(bench.uid("service-principal", published)))
    assert 2 == len(changes)
    assert [] == [each.says for each in changes if not each.says.isprintable() or len(each.says) > 300]
    for bad in ("../../me", "' or 1 eq 1", "3f0e0000-0000-4000-8000-00000000AC3E?$x=y"):
        held = replace(bench.held(bench.uid("service-principal", published))[0], identity_uid=bench.uid("user", bad))
        with pytest.raises(RevocationError, match="is nothing of tenant"):
            bench.said([held])


def test_the_revoker_never_changes_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    own = bench.tenant.foreign("revoker", ACME)
    bench.tenant.revokers[own] = bench.tenant.revoker()[1]
    monkeypatch.setenv(f"{ENVIRONMENT}AZURE_CLIENT_ID", own)
    monkeypatch.setenv(f"{ENVIRONMENT}AZURE_CLIENT_SECRET", bench.tenant.revokers[own])
    (change,) = bench.plan(bench.held(bench.uid("service-principal", own)))
    with bench.hand() as hand, pytest.raises(RevocationDeniedError, match="would change itself"):
        hand.write(change)


def test_the_reader_itself_is_left_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    own = bench.tenant.foreign("reader", ACME)
    bench.tenant.readers[own] = bench.tenant.reader()[1]
    monkeypatch.setenv("AZURE_CLIENT_ID", own)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", bench.tenant.readers[own])
    said = bench.said(bench.held(bench.uid("service-principal", own)))
    assert {"Countersign reads this tenant with it"} == {each.why for each in said if isinstance(each, Left)}
    assert {Left} == {type(each) for each in said}
