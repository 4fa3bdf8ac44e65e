"""Work: read one account over the wire into the spool, as a night does. `work_aws FOLDER bulk|night`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import cast

from benchmarks.estate import AS_OF
from connectors import aws
from countersign.inventory import spool
from countersign.key_lookup import needs_id
from countersign.programme import AwsSource, load
from countersign.reading import ReadRequest


def main() -> None:
    """`bulk` lists no user's keys, as if all answers were kept from earlier; `night` lists those that a night asks for."""
    folder, mode = sys.argv[1:]
    programme = load(Path(folder))
    source = cast("AwsSource", programme.sources[0])
    ask = needs_id(programme.register, AS_OF) if mode == "night" else lambda _row: False
    with tempfile.TemporaryDirectory() as work:
        (scope,) = aws.scopes(source)
        request = ReadRequest(source=source, scope=scope, run="bench", now=lambda: AS_OF, needs_id=ask)
        reading = spool(aws.read(request), scope, Path(work), Path(work) / "observations")
        written = sum(file.stat().st_size for file in Path(work).rglob("*.jsonl"))
    said = {"state": reading.state, "identities": reading.identities, "credentials": reading.credentials, "spooled": written}
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer


if __name__ == "__main__":
    main()
