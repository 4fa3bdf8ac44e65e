"""SSH signatures made without ssh-keygen: the sandbox's people sign so, and so do the tests."""

from sandbox.ssh_keys import CURVES as CURVES  # noqa: PLC0414 - told on
from sandbox.ssh_keys import Key as Key  # noqa: PLC0414 - told on
from sandbox.ssh_keys import number as number  # noqa: PLC0414 - told on
from sandbox.ssh_keys import wire as wire  # noqa: PLC0414 - told on
