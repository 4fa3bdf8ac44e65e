"""The stand-in's answers, as an implementation that is not ours reads them, and each of its misbehaviours on the wire."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
import rfc3161_client
from cryptography import x509

from sandbox.tsa import Behaviour, SandboxTsa

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGE = b"what was sealed"


@pytest.fixture(scope="module")
def tsa() -> Iterator[SandboxTsa]:
    with SandboxTsa() as running:
        yield running


def ask(tsa: SandboxTsa, kind: str = "application/timestamp-query") -> httpx.Response:
    question = rfc3161_client.TimestampRequestBuilder().data(MESSAGE).hash_algorithm(rfc3161_client.HashAlgorithm.SHA256).build().as_bytes()
    return httpx.post(tsa.address, content=question, headers={"Content-Type": kind}, timeout=30)


def verified(answer: bytes, ca: bytes) -> datetime:
    response = rfc3161_client.decode_timestamp_response(answer)
    verifier = rfc3161_client.VerifierBuilder().add_root_certificate(x509.load_pem_x509_certificate(ca)).build()
    assert verifier.verify_message(response, MESSAGE)
    return response.tst_info.gen_time


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_another_implementation_asks_and_accepts_the_answer(kind: str) -> None:
    with SandboxTsa(kind=kind) as tsa:  # type: ignore[arg-type]  # the parameters above
        answer = ask(tsa)
        assert (200, "application/timestamp-reply") == (answer.status_code, answer.headers["Content-Type"])
        assert abs(verified(answer.content, tsa.ca) - datetime.now(UTC)) < timedelta(minutes=1)


def test_each_misbehaviour_is_what_it_says(tsa: SandboxTsa) -> None:
    def told(**how: object) -> bytes:
        tsa.behaviour = Behaviour(**how)  # type: ignore[arg-type]  # each is a field
        try:
            return ask(tsa).content
        finally:
            tsa.behaviour = Behaviour()

    refused = rfc3161_client.decode_timestamp_response(told(refuses=True))
    assert (2, ["not today"]) == (refused.status, refused.status_string)
    assert b"" == told(status=503)
    assert b"so" == told(body=b"so")
    assert abs(verified(told(ahead=timedelta(hours=-2)), tsa.ca) - datetime.now(UTC)) > timedelta(hours=1)
    other = rfc3161_client.decode_timestamp_response(told(other_digest=True))
    assert other.tst_info.message_imprint.message != hashlib.sha256(MESSAGE).digest()
    for wrong in (told(other_digest=True), told(foreign=True), told(without_certificates=True)):
        with pytest.raises((rfc3161_client.VerificationError, ValueError)):
            verified(wrong, tsa.ca)


def test_it_can_keep_somebody_waiting_and_still_ends_at_once() -> None:
    with SandboxTsa() as tsa:
        tsa.behaviour = Behaviour(waits_s=3600)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(tsa.address, content=b"?", headers={"Content-Type": "application/timestamp-query"}, timeout=0.2)
        began = time.monotonic()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("body", [b"", b"0", b"\x30\x03\x02\x01\x01", b"GET / HTTP/1.1", b"\x30\x84\xff\xff\xff\xff"])
def test_what_is_no_question_is_refused(tsa: SandboxTsa, body: bytes) -> None:
    answer = httpx.post(tsa.address, content=body, headers={"Content-Type": "application/timestamp-query"}, timeout=30)
    assert 2 == rfc3161_client.decode_timestamp_response(answer.content).status
    assert 415 == ask(tsa, "text/plain").status_code
