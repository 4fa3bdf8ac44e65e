"""Work: read the one scope of a source, as a night does, into the spool. `work_cloud PROVIDER SOURCE`, the source's settings as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.estate import AS_OF
from benchmarks.work_aws import Seen
from countersign.inventory import spool
from countersign.programme import AzureSource, GcpSource, VaultSource
from countersign.reading import ReadRequest, connector

_SOURCES: dict[str, TypeAdapter[AzureSource | GcpSource | VaultSource]] = {
    "azure": TypeAdapter(AzureSource), "gcp": TypeAdapter(GcpSource), "vault": TypeAdapter(VaultSource),
}  # fmt: skip


def main() -> None:
    """Read it, and say what was seen."""
    provider, settings = sys.argv[1:]
    source = _SOURCES[provider].validate_json(settings)
    reader = connector(provider)
    with tempfile.TemporaryDirectory() as work:
        (scope,) = reader.scopes(source)
        seen = Seen()
        request = ReadRequest(source=source, scope=scope, run="bench", now=lambda: AS_OF)
        reading = spool(seen.of(reader.read(request)), scope, Path(work), Path(work) / "observations")
    print(json.dumps({"state": reading.state, **seen.said()}))  # noqa: T201 - how the parent learns the answer


if __name__ == "__main__":
    main()
