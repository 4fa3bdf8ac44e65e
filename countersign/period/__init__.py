"""What sealed evidence says of a span of time: which nights there were, who was judged, how long findings stood, who answered for it."""

from __future__ import annotations

from countersign.period.making import build
from countersign.period.members import NoSuchPartnerError, NoSuchPeriodError
from countersign.period.period import Period

__all__ = ["NoSuchPartnerError", "NoSuchPeriodError", "Period", "build"]
