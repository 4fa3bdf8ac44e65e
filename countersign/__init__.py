"""Countersign: the customer's side of a partner-run identity programme."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countersign.errors import ConfigError, CountersignError, EvidenceError, NotJudgedError
    from countersign.identity import Coverage, Credential, Grant, Identity, Observation, Provenance, Trust
    from countersign.programme import Programme, load
    from countersign.reconciliation import reconcile
    from countersign.results import RunResult

    __version__: str

__all__ = [
    "ConfigError", "CountersignError", "Coverage", "Credential", "EvidenceError", "Grant", "Identity", "NotJudgedError", "Observation",
    "Programme", "Provenance", "RunResult", "Trust", "__version__", "app_dir", "load", "reconcile",
]  # fmt: skip

_HOME = {
    **dict.fromkeys(("ConfigError", "CountersignError", "EvidenceError", "NotJudgedError"), "errors"),
    **dict.fromkeys(("Coverage", "Credential", "Grant", "Identity", "Observation", "Provenance", "Trust"), "identity"),
    "Programme": "programme",
    "load": "programme",
    "reconcile": "reconciliation",
    "RunResult": "results",
}


def app_dir() -> Path:
    """Return the folder that holds flows, connectors, expectations, deployments and sandbox: the checkout, or our own in a wheel."""
    here = Path(__file__).resolve().parent
    return here / "app" if (here / "app").is_dir() else here.parent


def __getattr__(name: str) -> object:
    """Load what is asked for when it is asked for: all of it at once would cost every command seconds."""
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("countersign")
    if name not in _HOME:
        raise AttributeError(f"module 'countersign' has no attribute {name!r}")
    if str(app_dir()) not in sys.path:
        sys.path.append(str(app_dir()))
    return getattr(importlib.import_module(f"countersign.{_HOME[name]}"), name)
