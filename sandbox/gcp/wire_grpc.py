"""The gRPC side of the local Google Cloud, from the client libraries' own messages; they are imported when it starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from sandbox.gcp.operations import ASSET, IAM_ADMIN
from sandbox.gcp.refusal import Json, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

_WORKERS = 16


class Answering(Protocol):
    """Whoever answers: takes service and method, the request in JSON form and the bearer token; raises Refused."""

    def rpc_answer(self, rpc: tuple[str, str], asked: Json, bearer: str) -> Json | bytes:
        """Answer one call; bytes are sent as they are."""


def messages() -> dict[tuple[str, str], tuple[Any, Any]]:
    """Give request and response class (of protobuf) for each rpc that the sandbox answers."""
    # Loaded here, since they take seconds and most of the sandbox's users never start a Google Cloud.
    from google.cloud.asset_v1 import types as asset
    from google.cloud.iam_admin_v1 import types as admin
    from google.iam.v1.iam_policy_pb2 import GetIamPolicyRequest
    from google.iam.v1.policy_pb2 import Policy

    def of(library: Any, request: str, response: str) -> tuple[Any, Any]:  # noqa: ANN401 -- a module of generated classes
        return getattr(library, request).pb(), getattr(library, response).pb()

    return {
        (IAM_ADMIN, "ListServiceAccounts"): of(admin, "ListServiceAccountsRequest", "ListServiceAccountsResponse"),
        (IAM_ADMIN, "GetServiceAccount"): of(admin, "GetServiceAccountRequest", "ServiceAccount"),
        (IAM_ADMIN, "ListServiceAccountKeys"): of(admin, "ListServiceAccountKeysRequest", "ListServiceAccountKeysResponse"),
        (IAM_ADMIN, "GetIamPolicy"): (GetIamPolicyRequest, Policy),
        (IAM_ADMIN, "ListRoles"): of(admin, "ListRolesRequest", "ListRolesResponse"),
        (IAM_ADMIN, "GetRole"): of(admin, "GetRoleRequest", "Role"),
        (ASSET, "SearchAllResources"): of(asset, "SearchAllResourcesRequest", "SearchAllResourcesResponse"),
        (ASSET, "SearchAllIamPolicies"): of(asset, "SearchAllIamPoliciesRequest", "SearchAllIamPoliciesResponse"),
        (ASSET, "ListAssets"): of(asset, "ListAssetsRequest", "ListAssetsResponse"),
    }


class GrpcServer:
    """A server on 127.0.0.1 until it is closed; what it does not know is UNIMPLEMENTED."""

    def __init__(self, answering: Answering, port: int, tls: tuple[bytes, bytes] | None) -> None:
        """Take the private key and the certificate chain (PEM) for TLS, None for plaintext."""
        import grpc  # slow as well

        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="sandbox-gcp-grpc")
        self._server = grpc.server(self._workers, options=(("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1)))
        by_service: dict[str, dict[str, Any]] = {}
        for rpc, (request, response) in messages().items():
            by_service.setdefault(rpc[0], {})[rpc[1]] = grpc.unary_unary_rpc_method_handler(
                _handler(answering, rpc, response),
                request_deserializer=request.FromString,
                response_serializer=lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString(),
            )
        self._server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(service, methods) for service, methods in by_service.items())
        )
        address = f"127.0.0.1:{port}"
        bound = (
            self._server.add_insecure_port(address)
            if tls is None
            else self._server.add_secure_port(address, grpc.ssl_server_credentials([tls]))
        )
        self.endpoint = f"127.0.0.1:{bound}"
        self._server.start()

    def close(self) -> None:
        """Stop, and wait until no thread is left."""
        self._server.stop(None).wait()
        self._workers.shutdown()


def _handler(answering: Answering, rpc: tuple[str, str], response: Any) -> Callable[[Any, grpc.ServicerContext], Any]:  # noqa: ANN401 -- a generated class
    from google.protobuf.json_format import MessageToDict, ParseDict

    def answer(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 -- generated messages
        sent = dict(context.invocation_metadata() or ())
        try:
            written = answering.rpc_answer(rpc, MessageToDict(request), str(sent.get("authorization", "")))
        except Refused as refused:
            _abort(context, refused)
        # Fields that only REST has so far, such as a key's disableReason, are not in the library's messages.
        return written if isinstance(written, bytes) else ParseDict(written, response(), ignore_unknown_fields=True)

    return answer


def _abort(context: grpc.ServicerContext, refused: Refused) -> NoReturn:
    import grpc
    from google.protobuf.json_format import ParseDict
    from google.rpc import error_details_pb2, status_pb2  # noqa: F401 -- the details' types must be known to be written

    code: grpc.StatusCode = grpc.StatusCode[refused.code]
    status = {"code": code.value[0], "message": refused.message, "details": list(refused.details)}
    written = ParseDict(status, status_pb2.Status()).SerializeToString()
    context.set_trailing_metadata((("grpc-status-details-bin", written),))
    raise AssertionError(context.abort(code, refused.message))  # it raises by itself, which its types do not say
