"""JSON Schemas of the register's files, so that an editor can complete and check them while they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.register.records import Control, CustomerFile, Incident, PartnerFile, RegisteredException, Workload

if TYPE_CHECKING:
    from countersign.register.records import Entry

_FILES: dict[str, type[Entry]] = {
    "customer.yaml": CustomerFile,
    "partners/*.yaml": PartnerFile,
    "controls/*.yaml": Control,
    "workloads/*.yaml": Workload,
    "exceptions/*.yaml": RegisteredException,
    "incidents/*.yaml": Incident,
}


def schema() -> dict[str, dict[str, object]]:
    """Return a JSON Schema (2020-12) for each kind of file, by the files' place in `register/`.

    A schema knows shapes only; who may do what is for `countersign register check`.
    """
    return {
        files: {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()} for files, model in _FILES.items()
    }
