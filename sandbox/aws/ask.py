"""One request to the sandbox AWS, as the service's model reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from moto.iam.models import iam_backends

from sandbox.aws.estate import Estate

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for what, where."""

    service: str
    """botocore's name, such as `accessanalyzer`."""
    operation: str
    region: str
    """The Region the request was signed for."""
    account: str
    """The account of the caller's key."""
    key: str
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Service and operation, such as `iam:ListUsers`."""
        return f"{self.service}:{self.operation}"

    @property
    def target(self) -> str:
        """The account the request is about: that of the role where one is assumed, else the caller's."""
        if self.operation == "AssumeRole":
            return next(iter(str(self.parameters.get("RoleArn", "")).split(":")[4:5]), self.account)
        return self.account

    @property
    def user(self) -> str | None:
        """Name of the user whose key asks; None for a session."""
        user = iam_backends[self.account]["aws"].get_user_from_access_key_id(self.key)
        return None if user is None else str(user.name)

    def saying(self, parameters: Mapping[str, Any]) -> Ask:
        """Give the same request with its parameters."""
        return replace(self, parameters=parameters)


Answering: TypeAlias = Callable[[Estate, Ask], dict[str, Any]]
"""Makes the whole answer, unpaged, named as in the model; raises Refusal."""
