"""The text of VERIFY.txt: how to check a bundle with a program of one file, and one statement with nothing but openssl."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.evidence.verify import BUNDLE, PAYLOAD_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.evidence.verify import PublicKey

Kind = Literal["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-pss"]
"""What `openssl` has to be told of a key."""

_CHECKS: dict[Kind, tuple[str, str]] = {
    "ed25519": ("Ed25519", "openssl pkeyutl -verify -pubin -inkey KEY -rawin -in signed -sigfile signature"),
    "ecdsa-p256": ("ECDSA on P-256", "openssl dgst -sha256 -verify KEY -signature signature signed"),
    "ecdsa-p384": ("ECDSA on P-384", "openssl dgst -sha384 -verify KEY -signature signature signed"),
    "rsa-pss": (
        "RSA-PSS",
        "openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:auto -verify KEY -signature signature signed",
    ),
}
_TEXT = """\
HOW TO CHECK THIS BUNDLE

Take the public key from where the customer published it, not from this bundle: whoever could change the bundle could change
the key in it. The same goes for verify.py: compare its SHA-256 with the published one. Lines to type begin with four spaces.


1. With verify.py (Python 3.11 or later, and the Python package cryptography; no network)

    python verify.py BUNDLE.zip --key evidence.pub.pem --from {begin} --to {end}

BUNDLE.zip is this bundle, or the folder that it was unpacked into. Exit code 0 means that everything holds. --from and --to say
which period you asked for: a bundle about another period fails. If you kept a checkpoint of an earlier audit, add
--checkpoint FILE: the statements up to it must be the ones of then, so nobody rewrote them, not even somebody who holds the key.
If the customer uses a time-stamping authority, add --tsa-ca CA.pem with its root certificate from the authority itself.
Several keys (after a change of keys): repeat --key. Days without a judged run are listed as gaps; they are no failure of the check.

Keep the file ledger/checkpoint for the next audit.


2. One statement with nothing but openssl and the usual commands of a Unix shell

In the unpacked bundle, with your copy of the key as KEY. STATEMENT is {bundle}, which lists every other file of this
bundle, or the statement of one run, ledger/<number>/statement.dsse.json.

    KEY={key}
    STATEMENT={statement}

What was signed is the statement's type and text, each with its length in front (DSSE version 1, in-toto Statement version 1):

    cut -d'"' -f4 "$STATEMENT" | openssl base64 -d -A > payload
    cut -d'"' -f18 "$STATEMENT" | openssl base64 -d -A > signature
    {{ printf 'DSSEv1 {length} {kind} %d ' "$(wc -c < payload)"; cat payload; }} > signed

Then the line for the kind of key:

{checks}It must say "Signature Verified Successfully" or "Verified OK". The statement names its key by the SHA-256 of the key in DER.
These two lines must print the same:

    cut -d'"' -f14 "$STATEMENT"
    openssl pkey -pubin -in "$KEY" -outform DER | openssl dgst -sha256 -r | cut -d' ' -f1

The file payload can be read now (it is JSON). It lists files with their SHA-256. This line checks them all, in the folder in which
the statement lies, and does not see files that were added. Of a run's files a bundle holds only some: the others fail as missing.

    tr '{{' '\\n' < payload | sed -n 's/^"sha256":"\\([0-9a-f]*\\)"}},"name":"\\([^"]*\\)".*/\\1  \\2/p' > files.sha256
    (cd "$(dirname "$STATEMENT")" && sha256sum --check --quiet -) < files.sha256

Now remove what these lines made (payload, signature, signed, files.sha256), or verify.py will find files that nobody signed.
"""


def kind_of(key: PublicKey) -> Kind:
    """Say which of the checks a key needs."""
    if isinstance(key, Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, EllipticCurvePublicKey):
        return "ecdsa-p384" if isinstance(key.curve, SECP384R1) else "ecdsa-p256"
    return "rsa-pss"


def text(
    predicate: Mapping[str, Any], kinds: frozenset[Kind] = frozenset(), *, key: str = "evidence.pub.pem", statement: str = BUNDLE
) -> str:
    """Write VERIFY.txt from what a bundle's statement says, for keys of these kinds; none: all kinds are shown.

    `key` and `statement` are the paths that the shell lines begin with.
    """
    checks = "".join(
        f"{name}:\n\n    {line.replace('KEY', chr(34) + '$KEY' + chr(34))}\n\n"
        for kind, (name, line) in _CHECKS.items()
        if kind in kinds or not kinds
    )
    begin, end = predicate["period"]["from"], predicate["period"]["to"]
    return _TEXT.format(
        begin=begin, end=end, bundle=BUNDLE, key=key, statement=statement, length=len(PAYLOAD_TYPE), kind=PAYLOAD_TYPE, checks=checks
    )
