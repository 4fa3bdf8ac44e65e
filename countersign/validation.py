"""The one door to Great Expectations: checks columns of a DuckDB table and hands back its counts, suite and results.

Imported by nobody at module level but the judge's function: importing Great Expectations costs seconds.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from countersign.errors import NotJudgedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from countersign.expectation import Holds


class _Dialect(StrEnum):
    DUCKDB = "duckdb"


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation to validate: `column` of the table must hold `holds`; nulls are not judged."""

    id: str
    column: str
    holds: Holds
    severity: str
    """Great Expectations' own scale: `critical`, `warning` or `info`."""
    notes: str
    meta: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Counts:
    """What Great Expectations counted for one check."""

    rows: int
    nulls: int
    unexpected: int
    success: bool


@dataclass(frozen=True, slots=True)
class Validated:
    """Counts per check id, with the suite and the result as Great Expectations writes them."""

    counts: Mapping[str, Counts]
    suite: Mapping[str, object]
    result: Mapping[str, object]


def validate(database: Path, table: str, name: str, checks: Sequence[Check]) -> Validated:
    """Run the checks over a table of a DuckDB file that nobody else has open.

    Raises NotJudgedError when a check raised inside Great Expectations, which its own result would show as a failure without rows.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.execution_engine import sqlalchemy_execution_engine as engine

    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # after the import, which sets it to INFO
    # Great Expectations closes DuckDB's connection before it reads the rows (upstream #10738, #11579) unless the dialect is
    # listed here. tests/countersign/test_judge.py fails when a new version changes this.
    if not any(str(dialect.value) == "duckdb" for dialect in engine._PERSISTED_CONNECTION_DIALECTS):  # noqa: SLF001
        private: Any = engine
        private._PERSISTED_CONNECTION_DIALECTS = (*engine._PERSISTED_CONNECTION_DIALECTS, _Dialect.DUCKDB)  # noqa: SLF001

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql("facts", connection_string=f"duckdb:///{database}")
    try:
        asset = source.add_table_asset("examined", table_name=table)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        suite = gx.ExpectationSuite(name=name, expectations=[_expectation(gx, check) for check in checks])
        outcome: Any = batch.validate(suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0})
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()
    counts = {}
    for result in outcome.results:
        check_id = result.expectation_config.meta["control"]
        if result.exception_info.get("raised_exception") or "unexpected_count" not in result.result:
            problem = result.exception_info.get("exception_message") or json.dumps(result.exception_info, default=str)[:500]
            raise NotJudgedError(f"Great Expectations could not check {check_id}: {problem}")
        counted = result.result
        counts[check_id] = Counts(counted["element_count"], counted["missing_count"], counted["unexpected_count"], bool(result.success))
    return Validated(counts, suite.to_json_dict(), outcome.to_json_dict())


def _expectation(gx: Any, check: Check) -> Any:  # noqa: ANN401 - Great Expectations has no types for its own classes here
    words = "".join(word.capitalize() for word in check.holds.type.split("_"))
    kind = getattr(gx.expectations, f"Expect{words}")
    arguments = {name: list(value) if isinstance(value, tuple) else value for name, value in check.holds.arguments}
    return kind(column=check.column, severity=check.severity, notes=check.notes, meta=dict(check.meta), **arguments)
