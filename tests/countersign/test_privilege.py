from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from countersign.privilege import LIMITED, UNREAD, Verdict, aws, azure, gcp, strongest, vault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.privilege import Rule

PROVIDERS = {"aws": aws, "azure": azure, "gcp": gcp, "vault": vault}
EVERY = [rule for provider in PROVIDERS.values() for rule in provider.RULES]
OWNED = Verdict("administrator", "entra-global-administrator")
WRITES = ["create", "update", "delete", "read", "sudo"]


def examples() -> Iterator[tuple[Rule, Verdict, Verdict]]:
    """Give each rule with a holder that it applies to, and the next thing to that, which it does not apply to."""
    for rule, ways in aws.WAYS:
        *others, last = ways[0].split(" ")
        yield rule, aws.judge(aws.bits_of(ways[0]), 0), aws.judge(sum(aws.BITS[word] for word in others) & ~aws.BITS[last], 0)
    reader = azure.directory_role("88d8e3e3-8f55-4a1e-953a-9b9898b8876b")
    for rule, ways in azure.ENTRA_WAYS:
        first = ways[0].split(" ")
        yield rule, azure.directory_role(first[0]) if len(first) > 1 else azure.custom_directory_role(first) if "/" in first[0] else azure.app_role(
            azure.GRAPH_APP_ID, first[0]
        ), reader  # fmt: skip
    for rule, everyone in ((azure.RULES[len(azure.ENTRA_WAYS)], True), (azure.RULES[len(azure.ENTRA_WAYS) + 1], False)):
        yield (
            rule,
            *(azure.delegated(azure.GRAPH_APP_ID, scope, for_everyone=everyone) for scope in ("Directory.AccessAsUser.All", "User.Read")),
        )
    yield azure.RULES[len(azure.ENTRA_WAYS) + 2], azure.owner_of(OWNED), azure.owner_of(LIMITED)
    for rule, ways in azure.AZURE_WAYS:
        actions, without = ways[0].split(" "), ["Microsoft.Authorization/*"] if ways[0] == "*" else []
        yield rule, azure.azure_role(actions, without), azure.azure_role([action.rpartition("/")[0] + "/read" for action in actions], [])
    for rule, ways in gcp.WAYS:
        yield (
            rule,
            gcp.role(ways[0], []) if ways[0].startswith("roles/") else gcp.role("projects/p/roles/r", ways[:1]),
            gcp.role("roles/viewer"),
        )
    token = "roles/iam.serviceAccountTokenCreator"
    yield gcp.RULES[-1], gcp.on_service_account(token, None, OWNED), gcp.on_service_account(token, None, LIMITED)
    yield vault.RULES[0], vault.policy("root", ""), vault.policy("default", "")
    for rule, ways in vault.WAYS:
        paths = [path.replace("~/~/~/~", "*").replace("/~/", "/+/").replace("~", "*").replace("<itself>", "p") for _, path in ways[0]]
        held = "\n".join(f'path "{path}" {{ capabilities = {WRITES} }}'.replace("'", '"') for path in paths)
        yield rule, vault.policy("p", held), vault.policy("p", f'{held}\npath "{paths[-1]}" {{ capabilities = ["deny"] }}')


@pytest.mark.parametrize(("rule", "broken", "held"), tuple(examples()), ids=lambda value: getattr(value, "id", ""))
def test_a_rule_applies_to_its_example_and_not_to_the_next_thing_to_it(rule: Rule, broken: Verdict, held: Verdict) -> None:
    assert (rule.power, rule.id) == (broken.power, broken.rule)
    assert rule.id != held.rule


def test_every_rule_has_an_example_and_is_listed_once_with_what_makes_it_apply() -> None:
    ids = [rule.id for rule in EVERY]
    assert len(ids) == len(set(ids))
    assert ids == [rule.id for provider in PROVIDERS.values() for rule in provider.RULES if provider.applies()[rule.id]]
    assert set(ids) == {rule.id for rule, _, _ in examples()}
    assert all(rule.what.endswith(".") and rule.source for rule in EVERY)
    assert {rule.power for rule in EVERY} == {"administrator", "escalation"}


def test_unknown_matters_more_than_limited_and_less_than_the_rest() -> None:
    administrator, escalation = Verdict("administrator", "a"), Verdict("escalation", "e")
    assert [LIMITED, UNREAD, escalation, administrator] == [
        strongest(those) for those in ((), (LIMITED, UNREAD), (UNREAD, escalation, LIMITED), (escalation, administrator, UNREAD))
    ]
