"""Writes docs/privileges.md from the rules of countersign/privilege: run it by `make docs`."""  # noqa: INP001 - a script beside the page it writes

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from countersign.privilege import aws, azure, gcp, vault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.privilege import Rule

PAGE = Path(__file__).parent / "privileges.md"
NOTE = "<!-- Made from countersign/privilege by `make docs`: change the rules, not this page. -->"

INTRODUCTION = """\
Each grant that a connector reads is given a power, by the rules listed here and by nothing else; the finding names the rule. The control is
[over-privileged](controls/over-privileged.md).

| power | means |
| --- | --- |
| `administrator` | may do everything in its scope, or give everything to whom it likes |
| `escalation` | may not, but can become an administrator by what it may do |
| `limited` | no rule raises it |
| unknown | what is allowed was not read or not understood, and could make a difference |

Of several rules that apply to one grant, the first listed decides. Ways that depend on what else there is (a machine that runs under a
strong role, a user who owns an application) count as if it were there: the rules judge what is allowed, not what it would lead to today."""

WEIGHED = {
    "AWS": """\
Policies of one user or role add up, with those of its groups: what one denies the others do not give, and what only several give
together is a grant of its own, `several policies together`, via `combined`. Policies are read from IAM's own documents;
AdministratorAccess and IAMFullAccess are known by name as well.

- **Resources.** An action counts where it holds on everything: `*`, or all users, roles, groups, policies, functions or machines
  of an account or Region (`arn:aws:iam::*:role/*`). On named ones (`role/app-*`, `role/app/*`) it does not, with one exception:
  who may attach or write a policy to itself or its own group, or rewrite a policy that it holds, promotes itself however narrow
  that is. `NotResource` is everything but what it names: leaving out a bucket takes nothing away.
- **Deny** without condition takes away what it covers on everything. With a condition, or on named resources, it takes away
  nothing.
- **NotAction** allows whatever it does not name. `NotAction: iam:*` is no administrator, but may assume any role and change what
  runs.
- **Conditions.** Keys about where and how one comes (MFA, address, network, transport, Region, the organisation's own resources)
  take no power away. `iam:PassedToService` says which services a role may be passed to. Keys of a service and tags of resources
  narrow, so that the statement does not count, unless `iam:PolicyARN` lets AdministratorAccess through or the value is `*`. All
  others (tags of the caller, times, `aws:CalledVia`, most negated operators) are not understood: unknown, unless the rest settles
  it.
- **A permissions boundary** caps what is held; one that was not read leaves unknown what it might cap.
- A statement that is not of IAM's grammar leaves its policy unknown.""",
    "Entra and Azure": """\
Directory roles are judged by template id, custom ones by their actions (`allProperties`, `allTasks` and kinds such as
`applications.myOrganization` understood), application permissions by name at Microsoft Graph and its predecessor. An eligible
assignment counts like an active one. Azure roles are judged by actions less notActions, wildcards as Azure matches them; a role
that may give roles under a condition is unknown.""",
    "Google Cloud": """\
Basic and predefined roles are judged by name, custom ones by their permissions; a custom role that could not be read is unknown.
A binding with a condition counts as one without. The predefined roles listed are those whose permissions, as Google publishes
them, hold one of the permissions beside them.""",
    "Vault and OpenBao": """\
A policy's most specific path decides a request, as on the server: the one whose first wildcard comes latest, then the one without
`*` at its end, with fewer `+`, the longer one; `deny` there is final. `sudo` alone allows nothing. A name such as `<itself>` is
the policy's own; `+` is any one name, so that one role or user is enough; `~` stands for every name. A policy text that cannot be
parsed is unknown.""",
}
UNSEEN = {
    "AWS": """\
- Policies of resources (buckets, keys, queues, a role's own trust policy), service control and resource control policies, and
  session policies.
- Whether any role, function or machine worth taking over is there; whether a role that may be passed trusts the service.
- Named resources that happen to be powerful: `iam:PassRole` on one administrator's role, `sts:AssumeRole` into one,
  `iam:PutRolePolicy` on one.
- Ways through services that are not listed, data (secrets, state files) that would lead further, and Kubernetes inside EKS.
- A Deny with a condition that is always met, or on each of all resources by name: power is told that is not there.""",
    "Entra and Azure": """\
- The scope of an assignment inside the rules: a role on one application, group or administrative unit counts as on all; so does
  one on one resource.
- Dynamic groups, membership of groups beyond what the connector expands, and group owners.
- Roles that only lock others out (Conditional Access), those of Exchange, SharePoint, Teams and the other workloads that manage
  groups of their own, and the synchronisation accounts, which Microsoft has cut back.
- dataActions: logging in to a machine, reading a vault's secrets; administrators of classic subscriptions and of billing.
- What a delegated grant for one user is worth: it is as strong as that user. `Application.ReadWrite.OwnedBy`: each ownership is a
  grant of its own.""",
    "Google Cloud": """\
- Roles of Google's own agents (`*.serviceAgent`) count as limited: they belong to Google's accounts, and are dangerous in other
  hands.
- Deny policies, principal access boundaries and organisation policies, all of which take away.
- `setIamPolicy` on single resources other than service accounts; domain-wide delegation; default service accounts behind a
  cluster, a notebook or a machine that one may log in to; HMAC keys.
- Permissions that Google adds to a predefined role after this list was made.""",
    "Vault and OpenBao": """\
- Each policy is judged alone: halves in two policies are not added, and a `deny` in another policy is not taken away.
- `allowed_parameters`, `denied_parameters` and `required_parameters`, response wrapping, control groups, Sentinel and expiry:
  power may be told that is not there.
- Templates (`{{identity.entity.name}}`) count as one name. Paths into child namespaces (`team/sys/...`) are not followed.
- Reading every secret is no power over Vault itself; mounting engines, rekeying and generating a root token (which takes key
  shares) neither.
- What credentials of database, cloud and PKI engines are worth elsewhere.""",
}

_PROVIDERS: dict[str, tuple[tuple[Rule, ...], Mapping[str, tuple[str, ...]]]] = {
    "AWS": (aws.RULES, aws.applies()),
    "Entra and Azure": (azure.RULES, azure.applies()),
    "Google Cloud": (gcp.RULES, gcp.applies()),
    "Vault and OpenBao": (vault.RULES, vault.applies()),
}


def page() -> str:
    """Return the text of docs/privileges.md."""
    parts = ["# Privileges", NOTE, INTRODUCTION]
    for provider, (rules, applies) in _PROVIDERS.items():
        parts += [f"## {provider}", WEIGHED[provider], *(_rule(rule, applies[rule.id]) for rule in rules)]
        parts += [f"### What the rules for {provider} do not see", UNSEEN[provider]]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"docs/{PAGE.name}\n")


def _rule(rule: Rule, applies: tuple[str, ...]) -> str:
    by = f"By any of: {'; '.join(applies)}." if len(applies) > 1 else f"By {applies[0]}."
    return "\n\n".join((f"### `{rule.id}`", f"**{rule.power}**: {rule.what} ({rule.source})", by))


if __name__ == "__main__":
    main()
