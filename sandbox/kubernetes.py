"""A stand-in for the Kubernetes API server that issues service-account tokens and reviews them, as Vault's login asks it to."""

from __future__ import annotations

import base64
import json
import ssl
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_HALF = 32
"""Bytes of each of the two numbers of an ES256 signature (RFC 7518, 3.4)."""


def signed(claims: Mapping[str, object], key: ec.EllipticCurvePrivateKey) -> str:
    """Write claims as a compact JWT signed by a P-256 key with ES256 (RFC 7515, 7519)."""
    text = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, dict(claims)))
    numbers = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_base64(b''.join(number.to_bytes(_HALF, 'big') for number in numbers))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SandboxKubernetes:
    """TokenReview of `authentication.k8s.io/v1` over TLS on 127.0.0.1, for as long as a `with` block lasts.

    It answers nothing else, and lets every live token ask, where a cluster would demand the role `system:auth-delegator`.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Take the PEM files of the certificate that the server shows, and of its key."""
        self._signing = ec.generate_private_key(ec.SECP256R1())
        self._live: dict[str, dict[str, Any]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.address = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox-kubernetes", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, namespace: str, account: str, *, audience: str = "vault", lives_s: int = 600) -> str:
        """Issue a token of a service account, which comes into being by being asked for."""
        now, name = int(time.time()), f"system:serviceaccount:{namespace}:{account}"
        claims = {
            "iss": "https://kubernetes.default.svc",
            "sub": name,
            "aud": [audience],
            "iat": now,
            "nbf": now,
            "exp": now + lives_s,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": account, "uid": str(uuid.uuid5(uuid.NAMESPACE_OID, name))},
            },
        }
        token = signed(claims, self._signing)
        self._live[token] = claims
        return token

    def delete(self, namespace: str, account: str) -> None:
        """Delete a service account: its tokens are good no more."""
        name = f"system:serviceaccount:{namespace}:{account}"
        self._live = {token: claims for token, claims in self._live.items() if claims["sub"] != name}

    def answer(self, path: str, bearer: str, review: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer a POST: the HTTP status and the body."""
        if path != _REVIEWS:
            return 404, _status(404, "NotFound")
        if bearer.removeprefix("Bearer ") not in self._live:
            return 401, _status(401, "Unauthorized")
        return 201, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": self._reviewed(review["spec"])}

    def _reviewed(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        claims = self._live.get(spec["token"])
        if claims is None or claims["exp"] < time.time():
            return {"authenticated": False, "error": "the token is not, or no more, of this cluster"}
        audiences = [each for each in spec.get("audiences") or claims["aud"] if each in claims["aud"]]
        if not audiences:
            return {"authenticated": False, "error": "the token is for another audience"}
        about = claims["kubernetes.io"]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{about['namespace']}", "system:authenticated"]
        user = {"username": claims["sub"], "uid": about["serviceaccount"]["uid"], "groups": groups}
        return {"authenticated": True, "user": user, "audiences": audiences}


def _status(code: int, reason: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": reason, "reason": reason, "code": code}


def _handler(cluster: SandboxKubernetes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            code, answer = cluster.answer(self.path, self.headers.get("Authorization", ""), body)
            written = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name is the library's
            """Stay quiet."""

    return Handler
