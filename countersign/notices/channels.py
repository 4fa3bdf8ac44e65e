"""Sends a message over a channel that Apprise knows (e-mail, chat, pager), whose address comes from outside the programme folder."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from countersign.desk.wire import read_token
from countersign.errors import CountersignError
from countersign.finding import inert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.programme import Channel

PLACE = "{email}"
"""What stands for the recipient's address in the address of a channel for people."""
SAID = 200
"""Characters of a service's own words that an error repeats."""
_SHORT = 5
"""A part of an address as short as this is no secret, and may be part of any word."""


class ChannelError(CountersignError):
    """A message did not get through, or its channel cannot be used as it is set up."""


def check(channel: Channel) -> None:
    """Raise ChannelError when the channel's address cannot be read or is none that Apprise knows; nothing is sent."""
    _address(channel, "somebody@example.org" if channel.to == "people" else None)


def send(channel: Channel, title: str, body: str, to: str | None = None) -> None:
    """Send one message; `to` is the e-mail address of whom it is for, None on a channel that many read.

    Raises ChannelError when it did not get through as far as the service says; Apprise cannot tell a lost answer from a refusal.
    """
    import apprise  # takes half a second

    url = _address(channel, to)
    service = apprise.Apprise()
    service.add(url)
    with apprise.LogCapture(level=logging.WARNING) as log:  # type: ignore[no-untyped-call]
        # TEXT: each service escapes what its own markup would act on.
        through = service.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
        words = " ".join(log.getvalue().split())
    if not through:
        raise ChannelError(f"channel {channel.name} did not take it: {_without(words, url) or 'it does not say why'}")


def _address(channel: Channel, to: str | None) -> str:
    import apprise  # as above

    try:
        url = read_token(channel.url_from, "address")
    except CountersignError as error:
        raise ChannelError(f"channel {channel.name}: {error.message}", fix=error.fix) from error
    if (PLACE in url) != (channel.to == "people"):
        where = f"must hold {PLACE} where the recipient's address goes" if channel.to == "people" else f"must not hold {PLACE}"
        raise ChannelError(f"the address of channel {channel.name} {where}", fix=f"correct it, or `to` of channel {channel.name}")
    url = url.replace(PLACE, quote(to or "", safe="@"))
    if not apprise.Apprise().add(url):
        raise ChannelError(f"the address of channel {channel.name} is none that Apprise knows", fix="see Apprise's list of services")
    return url


def _without(words: str, url: str) -> str:
    """Take every part of an address out of a service's words: any of them may be a secret."""
    text = inert(words)
    for part in sorted(set(_parts(url)), key=len, reverse=True):
        text = text.replace(part, "...")
    return text[-SAID:]


def _parts(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    for text in (url, parts.username or "", parts.password or "", *parts.path.split("/"), *parts.query.replace("=", "&").split("&")):
        if len(text) > _SHORT:
            yield text
