"""A period's tables with every name replaced by `h1:` + HMAC-SHA256(key, kind NUL value), for readers outside.

What may stay is listed; everything else is replaced, also a column that this file does not know. Numbers, times and booleans stay.
Identifiers are replaced whole, each under its kind, so that the same subject has one pseudonym in every table and in the next export.
Sentences keep words of our own (plain_words.txt) and short numbers; a known name in them gets the pseudonym of its kind, any other
word one of kind `word`. What a person wrote freely is replaced as a whole: no list of words can vouch for it.
"""

# ruff: noqa: S608 - SQL is put together from our own column names, quoted; values are bound

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING

import duckdb

from countersign.errors import EvidenceError
from countersign.expectation import expectations
from countersign.export import tables
from countersign.period.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PREFIX = "h1:"
REVEAL = ("pseudonym", "kind", "value")
"""Columns of the reveal table."""

_IDENTIFIERS = {
    # Subjects and identities are one kind: an identity that is judged itself keeps one pseudonym, so that tables still join.
    "subject": "subject", "identity": "subject",
    "identity_name": "name", "name": "name",
    # Who the partners are is the customer's business too; their scorecards can be compared all the same.
    "partner": "partner", "party": "partner",
    "owner": "person", "backup_owner": "person", "workload": "workload", "identities": "pattern",
    "person": "person", "accountable": "person", "requested_by": "person", "approved_by": "person",
    "scope": "scope", "source": "source", "limited_to": "source", "caller": "caller", "runner": "caller",
    "ticket": "ticket", "ticket_key": "ticket-key", "key": "ticket-key", "exception": "exception", "excepted": "exception",
    # An unkeyed hash of the subject: whoever guesses the subject could confirm it.
    "fingerprint": "finding",
}  # fmt: skip
_WORDS = frozenset(
    "subject_kind kind provider state verdict severity family title governed_by control clock step judged_by".split()  # noqa: SIM905 - reads better
)
"""Columns with words of ours: known ones stay."""
_SENTENCES = frozenset({"why", "error", "guard", "reason", "dropped_why", "operation", "refused", "refused_first"})
_FREE = frozenset(
    {
        ("workloads", "purpose"),
        ("workloads", "environment"),
        ("exceptions", "reason"),
        ("exceptions", "compensating_control"),
        ("exceptions", "exit_criteria"),
    }
)
_PARTIES = "accountability"
"""In this table an accountable party may be a person or a partner, and several stand in one cell."""
_DIGEST = r"(sha256:)?[0-9a-f]{64}"
_RUN = r"([a-z-]{1,20}-)?\d{8}T\d{6}Z-[0-9a-f]{4,32}"
_SLOT = r"((by-hand:)?\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?|flow-run:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_PATTERNS = {
    "run": _RUN, "runs": _RUN, "slot": _SLOT, "statement_digest": _DIGEST,
    "register_digest": _DIGEST, "configuration_digest": _DIGEST, "keyid": _DIGEST, "draw": _DIGEST, "code_commit": r"[0-9a-f]{40}",
    "code_version": r"\d+(\.\d+)*((a|b|rc|\.dev|\.post)\d+)*", "retention": r"P(\d+[YMWD])+",
    "maps_to": r"(csf-2\.0|owasp-nhi|soc2|iso-27001|pci-dss-4\.0\.1|dora|nist-800-53|cis):[A-Z0-9][A-Za-z0-9.:()-]{0,20}",
}  # fmt: skip
"""Columns whose text stays where it has this form (RE2, in full): runs, digests, versions, framework ids."""

_TOKEN = re.compile(r"""[^\s,;()\[\]"'<>]*[^\s,;()\[\]"'<>.:!?]""")
_WORD = re.compile(r"(?:[A-Za-z0-9_-]|[^\x00-\x7f])+")
_NUMBER = re.compile(r"-?\d{1,6}|\d{4}-\d\d-\d\d|\d{4}-\d\d-\d\dT\d\d|\d{2}Z|-+")
_KEY = re.compile(rb"[0-9a-f]{64}\n?")
_KNOWN = ("subject", "name", "partner", "person", "scope", "source", "caller", "ticket", "exception")


def load_key(uri: str) -> bytes:
    """Read the 32 bytes that `file:PATH` holds as 64 hex digits; a file that is not there is made, mode 0600.

    Raises EvidenceError for a file that others may read or that holds something else.
    """
    path = Path(uri.removeprefix("file:"))
    try:
        _make_key(path)
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise EvidenceError(f"the key {path} can be read or changed by other accounts of this machine", fix=f"chmod 600 {path}")
            held = file.read(1024)
    except OSError as error:
        raise EvidenceError(f"the key {path} could not be read: {error.strerror}", fix="check the folder and its permissions") from error
    if not _KEY.fullmatch(held):
        raise EvidenceError(f"{path} is no key of pseudonyms: it must hold 64 hex digits", fix="take the file away, and a new key is made")
    return bytes.fromhex(held.decode())


def is_plain_slot(slot: object) -> bool:
    """Whether a slot is a time, a day or a flow run, and not words that somebody chose."""
    return isinstance(slot, str) and re.fullmatch(_SLOT, slot) is not None


class Pseudonyms:
    """Makes pseudonyms under one key, and remembers which it made."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._made: set[tuple[str, str]] = set()
        self._plain = frozenset((resources.files("countersign.export") / "plain_words.txt").read_text("utf-8").split())
        self._plain |= {word for record in expectations() for word in (record.id, *_words(record.title), *_words(record.remedy))}
        self._known: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}

    def of(self, kind: str, value: str) -> str:
        """Return the pseudonym of a value."""
        self._made.add((kind, value))
        return _pseudonym(self._key, kind, value)

    def words(self, text: str) -> str:
        """Replace every word that is not ours."""
        return _WORD.sub(lambda found: self._word(found[0]), text)

    def sentence(self, text: str) -> str:
        """Replace the names that the tables know, and then every word that is not ours."""
        tokens = list(_TOKEN.finditer(text))
        out, done, at = [], 0, 0
        while at < len(tokens):
            known = next((each for each in self._known.get(tokens[at][0], ()) if self._is_at(tokens, at, each[0])), None)
            start, end = tokens[at].start(), tokens[at + (len(known[0]) if known else 1) - 1].end()
            out += [self.words(text[done:start]), self.of(*known[1:]) if known else self._part(text[start:end])]
            done, at = end, at + (len(known[0]) if known else 1)
        return "".join((*out, self.words(text[done:])))

    def write(self, source: Path, target: Path, *, seed: str, sample_size: int) -> None:
        """Copy a period's tables to a new database file under pseudonyms; samples are drawn again, so that the reader can draw them too."""
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1, "memory_limit": "384MB", "temp_directory": str(target.with_name(target.name + ".spill")),
            "autoinstall_known_extensions": False, "autoload_known_extensions": False,
        }  # fmt: skip
        with duckdb.connect(str(target), config=config) as db:
            db.execute(f"ATTACH {_quoted(source)} AS plain (READ_ONLY)")
            self._prepare(db)
            shapes = {table: _shape(db, table) for table in TABLES}
            self._collect(db, shapes)
            for table in TABLES:
                self._copy(db, table, shapes[table])
            _draw(db, seed, sample_size)
            self._keep(db)
            db.execute("DETACH plain")

    def reveal(self, target: Path, file: IO[bytes]) -> int:
        """Write the reveal table of what was replaced (`target` as `write` left it) as CSV; takes it out of the database too."""
        with duckdb.connect(str(target)) as db:
            _insert(db, "revealed", [(_pseudonym(self._key, *each), *each) for each in sorted(self._made)])
            db.execute(f"CREATE TABLE reveal AS SELECT DISTINCT {', '.join(REVEAL)} FROM revealed")
            rows = tables.write_csv(db, file, "reveal")
            db.execute("DROP TABLE reveal; DROP TABLE revealed")
        return rows

    def _prepare(self, db: duckdb.DuckDBPyConnection) -> None:
        # HMAC is two hashes over the padded key (RFC 2104): in SQL it runs over millions of rows without Python.
        padded = self._key.ljust(64, b"\0")
        db.execute("SET VARIABLE hmac_inner = $pad::BLOB", {"pad": bytes(byte ^ 0x36 for byte in padded)})
        db.execute("SET VARIABLE hmac_outer = $pad::BLOB", {"pad": bytes(byte ^ 0x5C for byte in padded)})
        db.execute(
            "CREATE TEMP MACRO pseudonym(kind, said) AS CASE WHEN said IS NULL THEN NULL ELSE concat('h1:', "
            "sha256(getvariable('hmac_outer') || unhex(sha256(getvariable('hmac_inner') "
            "|| encode(kind) || '\\x00'::BLOB || encode(said))))) END"
        )
        db.execute("SET VARIABLE partners = (SELECT coalesce(list(DISTINCT partner), []) FROM plain.partners WHERE partner IS NOT NULL)")
        db.execute("CREATE TABLE revealed (pseudonym VARCHAR, kind VARCHAR, value VARCHAR)")
        db.execute("CREATE TEMP TABLE found (kind VARCHAR, value VARCHAR)")
        db.execute("CREATE TEMP TABLE said (style VARCHAR, value VARCHAR, shown VARCHAR)")

    def _collect(self, db: duckdb.DuckDBPyConnection, shapes: dict[str, dict[str, str]]) -> None:
        """Gather what is replaced, and put every distinct sentence into the words that may be shown."""
        for table, shape in shapes.items():
            for column, style in shape.items():
                if style.startswith("kind:"):
                    kind, place = style.removeprefix("kind:"), f"plain.{tables.name(table)}"
                    value = tables.name(column)
                    if (table, column, "[]") in _lists(db, table):
                        db.execute(f"INSERT INTO found SELECT DISTINCT $kind, unnest({value}) FROM {place}", {"kind": kind})
                    else:
                        db.execute(
                            f"INSERT INTO found SELECT DISTINCT $kind, {value} FROM {place} WHERE {value} IS NOT NULL", {"kind": kind}
                        )
                elif style == "parties":
                    db.execute(
                        f"INSERT INTO found SELECT DISTINCT {_party('each')}, each "
                        f"FROM (SELECT unnest(string_split({tables.name(column)}, ', ')) AS each FROM plain.{tables.name(table)})"
                    )
        self._learn(db.execute("SELECT DISTINCT kind, value FROM found WHERE value IS NOT NULL ORDER BY ALL").fetchall())
        for style, shown in (("words", self.words), ("sentence", self.sentence)):
            places = [(table, column) for table, shape in shapes.items() for column, each in shape.items() if each == style]
            union = " UNION ".join(f"SELECT {tables.name(column)} AS value FROM plain.{tables.name(table)}" for table, column in places)
            if union:
                values = [row[0] for row in db.execute(f"SELECT value FROM ({union}) WHERE value IS NOT NULL ORDER BY ALL").fetchall()]
                _insert(db, "said", [(style, value, shown(value)) for value in values])

    def _learn(self, known: Iterable[tuple[str, str]]) -> None:
        for kind, value in known:
            words = tuple(found[0] for found in _TOKEN.finditer(value))
            if words and kind in _KNOWN:
                self._known.setdefault(words[0], []).append((words, kind, value))
        for candidates in self._known.values():
            candidates.sort(key=lambda each: (-len(each[0]), each[1:]))

    def _copy(self, db: duckdb.DuckDBPyConnection, table: str, shape: dict[str, str]) -> None:
        lists = _lists(db, table)
        shown = ", ".join(
            f"{_expression(column, style, (table, column, '[]') in lists)} AS {tables.name(column)}" for column, style in shape.items()
        )
        db.execute(f"CREATE TABLE {tables.name(table)} AS SELECT {shown} FROM plain.{tables.name(table)}")
        for column, style in shape.items():
            if style.startswith("form:") or style == "text":
                # Whatever did not have its form was replaced under the kind `text`.
                each = f"unnest({tables.name(column)})" if (table, column, "[]") in lists else tables.name(column)
                form = style.removeprefix("form:") if style != "text" else "(?!)"
                values = db.execute(
                    f"SELECT DISTINCT value FROM (SELECT {each}::VARCHAR AS value FROM plain.{tables.name(table)}) WHERE value IS NOT NULL"
                ).fetchall()
                self._made |= {("text", value) for (value,) in values if style == "text" or not re.fullmatch(form, value)}

    def _keep(self, db: duckdb.DuckDBPyConnection) -> None:
        db.execute("INSERT INTO revealed SELECT DISTINCT pseudonym(kind, value), kind, value FROM found WHERE value IS NOT NULL")

    def _part(self, text: str) -> str:
        return _WORD.sub(lambda found: self._known_word(found[0]), text)

    def _known_word(self, word: str) -> str:
        known = next((each for each in self._known.get(word, ()) if len(each[0]) == 1 and each[2] == word), None)
        return self._word(word) if known is None else self.of(*known[1:])

    def _word(self, word: str) -> str:
        return word if word in self._plain or _NUMBER.fullmatch(word) else self.of("word", word)

    @staticmethod
    def _is_at(tokens: list[re.Match[str]], at: int, words: tuple[str, ...]) -> bool:
        return tuple(found[0] for found in tokens[at : at + len(words)]) == words


def _pseudonym(key: bytes, kind: str, value: str) -> str:
    return PREFIX + hmac.new(key, f"{kind}\0{value}".encode(), hashlib.sha256).hexdigest()


def _shape(db: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Column to how it is shown: `keep`, `kind:...`, `words`, `sentence`, `form:...`, `parties`, or `text`, which hides it whole."""
    types = {row[0]: row[1] for row in db.execute(f"DESCRIBE plain.{tables.name(table)}").fetchall()}
    return {column: _style(table, column, kind) for column, kind in types.items()}


def _style(table: str, column: str, kind: str) -> str:
    if kind not in ("VARCHAR", "VARCHAR[]"):
        return "keep" if kind in ("BIGINT", "INTEGER", "BOOLEAN", "DATE", "TIMESTAMP", "HUGEINT", "UBIGINT", "BIGINT[]") else "text"
    if column in _PATTERNS:
        return f"form:{_PATTERNS[column]}"
    if table == _PARTIES and column not in _WORDS:
        return "parties"
    if (table, column) in _FREE:
        return "text"
    if column in _IDENTIFIERS:
        return f"kind:{_IDENTIFIERS[column]}"
    return "words" if column in _WORDS else "sentence" if column in _SENTENCES else "text"


def _lists(db: duckdb.DuckDBPyConnection, table: str) -> set[tuple[str, str, str]]:
    rows = db.execute(f"DESCRIBE plain.{tables.name(table)}").fetchall()
    return {(table, row[0], "[]") for row in rows if row[1].endswith("[]")}


def _expression(column: str, style: str, is_list: bool) -> str:  # noqa: FBT001 - what the column holds
    quoted = tables.name(column)
    one = "each" if is_list else quoted
    if style == "keep":
        return quoted
    if style.startswith("kind:"):
        shown = f"pseudonym('{style.removeprefix('kind:')}', {one})"
    elif style.startswith("form:"):
        shown = f"CASE WHEN regexp_full_match({one}, '{style.removeprefix('form:')}') THEN {one} ELSE pseudonym('text', {one}) END"
    elif style == "parties":
        each = f"lambda party: pseudonym({_party('party')}, party)"
        shown = f"array_to_string(list_transform(string_split({one}, ', '), {each}), ', ')"
    elif style in ("words", "sentence") and not is_list:
        return f"(SELECT shown FROM said WHERE style = '{style}' AND said.value = {quoted})"
    else:
        shown = f"pseudonym('text', {one}::VARCHAR)"
    return f"list_transform({quoted}, lambda each: {shown})" if is_list else shown


def _party(value: str) -> str:
    return f"CASE WHEN list_contains(getvariable('partners'), {value}) THEN 'partner' ELSE 'person' END"


def _draw(db: duckdb.DuckDBPyConnection, seed: str, size: int) -> None:
    """Draw the samples from the pseudonyms by the rule of the period's own samples."""
    db.execute("DELETE FROM samples")
    db.execute(
        "INSERT INTO samples BY NAME SELECT * FROM (SELECT control, row_number() OVER drawn AS place, draw, subject, "
        "identity_name, partner, verdict, first_seen, last_seen, count(*) OVER (PARTITION BY control) AS population "
        "FROM (SELECT *, sha256(concat(subject, control, $seed)) AS draw FROM populations) "
        "WINDOW drawn AS (PARTITION BY control ORDER BY draw, subject)) WHERE place <= $size ORDER BY control, place",
        {"seed": seed, "size": size},
    )


def _insert(db: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[str, ...]]) -> None:
    for start in range(0, len(rows), 10_000):
        block = rows[start : start + 10_000]
        columns = [list(column) for column in zip(*block, strict=True)]
        db.execute(f"INSERT INTO {table} SELECT {', '.join('unnest(?::VARCHAR[])' for _ in columns)}", columns)


def _words(text: str) -> Iterator[str]:
    yield from (found[0] for found in _WORD.finditer(text))


def _make_key(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode() + b"\n")
        file.flush()
        os.fsync(descriptor)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
