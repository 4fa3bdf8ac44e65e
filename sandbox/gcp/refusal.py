"""Refusals in Google's words: one value that both wires can send (google.rpc.Status, AIP-193)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

HTTP: Mapping[str, int] = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}
"""HTTP status by canonical code (google/rpc/code.proto)."""
_TITLES: Mapping[str, str] = {
    "apikeys.googleapis.com": "API Keys API",
    "cloudasset.googleapis.com": "Cloud Asset API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "policyanalyzer.googleapis.com": "Policy Analyzer API",
}


class Refused(Exception):  # noqa: N818 -- it is an answer that the server gives, not an error of the program
    """An answer other than OK."""

    def __init__(self, code: str, message: str, *details: Json, retry_after_s: float | None = None) -> None:
        """Take a canonical code, Google's sentence, and details in JSON form with their `@type`."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_s = retry_after_s
        """Seconds for the HTTP header Retry-After; None for no header."""

    def body(self) -> Json:
        """Write the JSON document that REST sends."""
        error = {"code": HTTP[self.code], "message": self.message, "status": self.code, "details": list(self.details)}
        return {"error": {field: value for field, value in error.items() if value}}


def denied(permission: str, resource: str) -> Refused:
    """Refuse for want of a permission; `resource` is such as `projects/p1`."""
    host = "iam.googleapis.com" if "/serviceAccounts/" in resource or "/locations/" in resource else "cloudresourcemanager.googleapis.com"
    info = {"resource": resource, "permission": permission}
    return Refused(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource '//{host}/{resource}' (or it may not exist).",
        _info("IAM_PERMISSION_DENIED", f"{permission.partition('.')[0]}.googleapis.com", info),
    )


def api_disabled(api: str, project: str) -> Refused:
    """Refuse because the project has not enabled the API; `project` is its number."""
    page = f"https://console.developers.google.com/apis/api/{api}/overview?project={project}"
    message = (
        f"{_TITLES.get(api, api)} has not been used in project {project} before or it is disabled. Enable it by visiting {page} "
        "then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
    )
    about = {"service": api, "consumer": f"projects/{project}", "containerInfo": project, "activationUrl": page}
    return Refused("PERMISSION_DENIED", message, _info("SERVICE_DISABLED", "googleapis.com", about))


def throttled(api: str, retry_after_s: float | None) -> Refused:
    """Refuse for too many calls; with `retry_after_s`, RetryInfo and the HTTP header say when to come back."""
    message = f"Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute' of service '{api}' for consumer."
    details = [_info("RATE_LIMIT_EXCEEDED", "googleapis.com", {"service": api})]
    if retry_after_s is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{retry_after_s:g}s"})
    return Refused("RESOURCE_EXHAUSTED", message, *details, retry_after_s=retry_after_s)


def unauthenticated() -> Refused:
    """Refuse a call without a token of ours."""
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    return Refused("UNAUTHENTICATED", message, _info("ACCESS_TOKEN_TYPE_UNSUPPORTED", "googleapis.com", {}))


def not_found(message: str) -> Refused:
    """Refuse because there is no such thing."""
    return Refused("NOT_FOUND", message)


def invalid(message: str) -> Refused:
    """Refuse a parameter."""
    return Refused("INVALID_ARGUMENT", message)


def _info(reason: str, domain: str, metadata: Mapping[str, str]) -> Json:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain, "metadata": dict(metadata)}
