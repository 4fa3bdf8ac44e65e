"""What users and roles of IAM share: AWS's deny-all policy put on and taken off, and all that hangs on them taken away before they go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from connectors.aws.asking import ask, names, rows
from connectors.aws.revoking_plan import GONE, Action
from connectors.aws.sdk import GoneError, partition_of
from countersign.aws_documents.fields import text
from countersign.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.aws.door import Account
    from connectors.aws.revoking_plan import Hands
    from countersign.programme import AwsSource
    from countersign.revocation import Change, State


def deny_all(source: AwsSource) -> str:
    """Give the ARN of AWS's own policy that denies everything."""
    return f"arn:{partition_of(source)}:iam::aws:policy/AWSDenyAll"


@dataclass(frozen=True, slots=True)
class Principals:
    """Users or roles, by the words of their calls."""

    word: Literal["User", "Role"]
    name_of: Callable[[Account, Change], str | None]
    """Gives the present name of what a change is about, found by its id; None when it is gone."""
    besides: tuple[str, str, str]
    """What else hangs on them: the state's name for it, the list call without `iam:`, and the call that takes one away."""
    member: tuple[str, str]
    """The field of that list's answer, and the name in each of its rows."""

    def sure_name(self, account: Account, change: Change) -> str:
        """Give the name to write to; raises GoneError where the id is nobody's any more, whoever has its name now."""
        name = self.name_of(account, change)
        if name is None:
            which = change.parameters[f"{self.word.lower()}_id"]
            raise GoneError(f"iam:Get{self.word}", f"the {self.word.lower()} with the id {which} is gone")
        return name

    def attached(self, account: Account, name: str) -> list[str]:
        """List the ARNs of attached policies, sorted."""
        found = rows(account, f"iam:ListAttached{self.word}Policies", "AttachedPolicies", self._whose(name))
        return sorted(text(one, "PolicyArn") for one in found)

    def deny(self) -> Action:
        """Give the action that puts the deny-all policy on, or takes it off."""
        return Action(
            name=f"deny-{self.word.lower()}",
            looks=(f"iam:Get{self.word}", f"iam:ListAttached{self.word}Policies"),
            writes=(f"iam:Attach{self.word}Policy", f"iam:Detach{self.word}Policy"),
            look=self._look_denied,
            write=self._write_denied,
        )

    def delete(self) -> Action:
        """Give the action that takes everything off that was seen, and deletes it."""
        word, (_, listing, taking) = self.word, self.besides
        return Action(
            name=f"delete-{word.lower()}",
            looks=(f"iam:Get{word}", f"iam:ListAttached{word}Policies", f"iam:List{word}Policies", f"iam:{listing}"),
            writes=(f"iam:Detach{word}Policy", f"iam:Delete{word}Policy", f"iam:{taking}", f"iam:Delete{word}", f"iam:Attach{word}Policy"),
            look=self._look,
            write=self._delete,
        )

    def _whose(self, name: str) -> dict[str, str]:
        return {f"{self.word}Name": name}

    def _look_denied(self, account: Account, change: Change) -> State:
        name = self.name_of(account, change)
        if name is None:
            return GONE
        try:
            return {"exists": True, "denied": change.parameters["policy"] in self.attached(account, name)}
        except GoneError:
            return GONE

    def _write_denied(self, hands: Hands, change: Change) -> None:
        whose = self._whose(self.sure_name(hands.reader, change))
        verb = "Attach" if change.after["denied"] else "Detach"
        ask(hands.writer, f"iam:{verb}{self.word}Policy", {**whose, "PolicyArn": change.parameters["policy"]})

    def _look(self, account: Account, change: Change) -> State:
        name = self.name_of(account, change)
        if name is None:
            return GONE
        whose, (said, listing, _), (field, called) = self._whose(name), self.besides, self.member
        try:
            attached = self.attached(account, name)
            inline = sorted(names(account, f"iam:List{self.word}Policies", "PolicyNames", whose))
            others = sorted(text(one, called) for one in rows(account, f"iam:{listing}", field, whose))
        except GoneError:
            return GONE
        return {
            "exists": True,
            "denied": change.parameters["policy"] in attached,
            "policies": [arn for arn in attached if arn != change.parameters["policy"]],
            "inline": inline,
            said: others,
        }

    def _delete(self, hands: Hands, change: Change) -> None:
        """Take exactly what was seen before the change, the denial last; it comes back where IAM does not delete it."""
        word, (said, _, taking), (_, called) = self.word, self.besides, self.member
        whose = self._whose(self.sure_name(hands.reader, change))
        denial = {**whose, "PolicyArn": change.parameters["policy"]}
        for arn in change.before["policies"]:
            ask(hands.writer, f"iam:Detach{word}Policy", {**whose, "PolicyArn": arn})
        for inline in change.before["inline"]:
            ask(hands.writer, f"iam:Delete{word}Policy", {**whose, "PolicyName": inline})
        for other in change.before[said]:
            ask(hands.writer, f"iam:{taking}", {**whose, called: other})
        ask(hands.writer, f"iam:Detach{word}Policy", denial)
        try:
            ask(hands.writer, f"iam:Delete{word}", whose)
        except GoneError:
            raise
        except ReadError:
            ask(hands.writer, f"iam:Attach{word}Policy", denial)
            raise
