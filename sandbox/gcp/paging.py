"""One page of a list, with a token that is good for the same question only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING

from sandbox.gcp.refusal import Json, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def page(field: str, items: Sequence[Json], asked: Mapping[str, object], *, default: int, most: int) -> Json:
    """Answer `pageSize` items from `pageToken` on, under `field`, with `nextPageToken` if there are more.

    Sizes above `most` are cut to it. A size that is no number or negative, or a token of another question, raises Refused.
    """
    try:
        size = int(str(asked.get("pageSize") or 0))
    except ValueError:
        size = -1
    if size < 0:
        raise invalid(f"Page size must be a number, and not negative: {asked['pageSize']}")
    size = min(size or default, most)
    question = json.dumps({name: value for name, value in asked.items() if name not in {"pageSize", "pageToken"}}, sort_keys=True)
    mark = hashlib.sha256(f"{field} {question}".encode()).hexdigest()[:16]
    start = _start(str(asked.get("pageToken") or ""), mark)
    answer: Json = {field: list(items[start : start + size])} if items[start : start + size] else {}
    if start + size < len(items):
        answer["nextPageToken"] = base64.urlsafe_b64encode(f"{mark}:{start + size}".encode()).decode()
    return answer


def _start(token: str, mark: str) -> int:
    if not token:
        return 0
    try:
        ours, _, start = base64.urlsafe_b64decode(token).decode().partition(":")
        if ours == mark:
            return int(start)
    except (binascii.Error, ValueError):
        pass
    raise invalid("Page token is invalid: it does not belong to this request.")
