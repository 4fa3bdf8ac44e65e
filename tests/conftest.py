"""What holds for every test: output is as wide as it is in a pipe, also in pytest-xdist's workers, which are told a terminal's width."""

from __future__ import annotations

import os

os.environ.pop("COLUMNS", None)
