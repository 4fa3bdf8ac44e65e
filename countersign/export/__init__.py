"""The auditor's bundle: one signed ZIP of what sealed evidence says of a period, the same bytes whenever it is made again."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from countersign import entry, period
from countersign.errors import CountersignError, EvidenceError
from countersign.evidence import signer, statement
from countersign.evidence.verify import BUNDLE, STATEMENT, verify
from countersign.export import bundle, contents, ledger, predicate
from countersign.export.pseudonyms import Pseudonyms, load_key
from countersign.results import EXIT_FINE, EXIT_PARTIAL, EXIT_USAGE, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from countersign.evidence.store import Store
    from countersign.period import Period
    from countersign.programme import Programme
    from countersign.results import Tell

KIND = ledger.EXPORT
SAMPLES = 25
MOST_SAMPLES = 10_000
LONGEST_SEED = 200
_SLACK = timedelta(days=2)
"""An entry may lie this far outside and still count: a run that died is sealed by a later one."""


class NotAPeriodError(CountersignError):
    """The period, the partner or the file that were asked for cannot be exported."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for."""

    first: date
    last: date
    """Both days (UTC) are part of the period."""
    output: Path
    partner: str | None = None
    """None: all partners and what is the customer's own."""
    pseudonymised: bool = False
    samples: int = SAMPLES
    """Subjects drawn from the population of each control."""
    seed: str | None = None
    """None: `origin:from:to`, so that anybody can see that it was not chosen."""
    pdf: Path | None = None
    """Where to write a summary as PDF, beside the bundle and no part of it; None: nowhere."""
    force: bool = False
    """Write over a file that is there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle that was made, and what its entry in the ledger says of it."""

    path: Path
    entry: str
    """Name of the ledger's entry that says that it was made."""
    said: Mapping[str, Any]
    """Predicate of that entry."""

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the ZIP."""
        return str(self.said["bundle"]["sha256"])

    @property
    def reveal(self) -> Path | None:
        """The reveal table beside the bundle; None: nothing was replaced."""
        return reveal_path(self.path) if self.said["filters"]["pseudonymised"] else None

    @property
    def exit_code(self) -> int:
        """0: every night of the period is complete; 3: the bundle is whole, but some of the period was not observed."""
        nights = self.said["nights"]
        return EXIT_FINE if nights["expected"] == nights["complete"] else EXIT_PARTIAL


def export(
    programme: Programme,
    wanted: Wanted,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    tell: Tell = silent,
    requested: Mapping[str, str] | None = None,
) -> Exported:
    """Make a bundle from sealed evidence alone, and leave an entry of kind `export` in the ledger.

    Needs no cloud role and does not take the programme's lock. `requested` adds to who asked for it. Raises NotAPeriodError for
    what cannot be, EvidenceError where evidence is broken or something cannot be written; then there is no file and no entry.
    """
    wanted = replace(wanted, output=wanted.output.absolute(), seed=wanted.seed or f"{programme.customer}:{wanted.first}:{wanted.last}")
    _check(wanted, now())
    key = _key(programme) if wanted.pseudonymised else None
    with ExitStack() as stack:
        signs = signer.load(programme.evidence.signer)
        store = entry.open_store(programme)
        try:
            made = tempfile.TemporaryDirectory(prefix=".countersign-export-", dir=wanted.output.parent)
        except OSError as error:
            fix = "name a folder that exists and can be written to"
            raise EvidenceError(f"nothing can be written to {wanted.output.parent}: {error.strerror}", fix=fix) from error
        work = Path(stack.enter_context(made))
        tell("looking for the period's runs", 0.02)
        entries = ledger.entries(store)
        near = [each for each in entries if each.day is None or wanted.first - _SLACK <= each.day <= wanted.last + _SLACK]
        for each in near:
            store.fetch(each.sequence)
        pems, unknown = ledger.keys(entries, near, _public_keys(programme, signs), signs.public_key.keyid)
        said = period.build(
            store.folder, wanted.first, wanted.last, sample_size=wanted.samples, seed=str(wanted.seed), partner=wanted.partner,
            # A key that nobody has any more would end the export; the bundle says that it is missing instead.
            keys=() if unknown else _kept(pems, work / "keys"), database=work / "period.duckdb", tell=tell,
        )  # fmt: skip
        names = None if key is None else Pseudonyms(key)
        if names is not None:
            tell("replacing names by pseudonyms", 0.4)
            said = _outside(said, names, work / "pseudonyms.duckdb", wanted)
        found = entries[: said.last_sequence]
        spool = bundle.Spool(_folder(work / "packed"))
        signed_by = {each.keyid for each in found[said.first_sequence - 1 :]} | {signs.public_key.keyid}
        missing = [keyid for keyid in unknown if keyid in signed_by]
        about = predicate.build(programme, wanted, said, found=found, names=names, unknown=missing)
        known = {keyid: pem for keyid, pem in pems.items() if keyid in signed_by}
        contents.fill(spool, said, about, found=found, pems=known, work=work, tell=tell)
        tell("signing", 0.9)
        unsigned = bundle.build(spool, about)
        digest = bundle.digest(unsigned)
        envelope = None if signs.public_key.keytype == "ed25519" else ledger.earlier_envelope(_newest_first(store), digest)
        if envelope is None:
            envelope, _ = statement.sign(unsigned, signs)
        if names is not None:
            # Opened first, so that it gets its name last: a bundle without its reveal table can be made again, the table alone tells names.
            reveal = stack.enter_context(bundle.beside(reveal_path(wanted.output), mode=0o600, force=wanted.force))
            names.reveal(said.database, reveal)
        file = stack.enter_context(bundle.beside(wanted.output, force=wanted.force))
        sha256, size = spool.write(file, envelope)
        if not missing:
            # What the period's tables do not rest on, such as a checkpoint in the middle, is checked as its reader will check it.
            tell("checking what was written", 0.97)
            _check_made(programme, bundle.unfinished(wanted.output), _kept(known, work / "signed-by"))
        told = {
            "bundle": {"sha256": sha256, "size": size, "statement": digest},
            **{name: about[name] for name in ("period", "filters", "counts", "nights", "withheld")},
            "requestedBy": dict(requested or {}),
            "open": predicate.open_findings(said),
        }
        if wanted.pdf is not None:
            tell("printing the summary", 0.95)
            stack.enter_context(bundle.beside(wanted.pdf, force=wanted.force)).write(_pdf(said, work))
        # Sealed before the file gets its name: no bundle of ours is out there without an entry that says so.
        sealed = entry.seal(programme, KIND, {BUNDLE: envelope}, told, clock=now)
    tell(f"{wanted.output.name} is written", 1.0)
    return Exported(path=wanted.output, entry=sealed.path.name, said=told)


def sealed_export(programme: Programme, output: Path, *, flow_run: str) -> Exported:
    """Return what a flow run exported, as its entry in the ledger says. Raises EvidenceError where there is none."""
    for folder in _newest_first(entry.open_store(programme)):
        said = statement.read(folder / STATEMENT)
        if said.kind == KIND and said.predicate.get("requestedBy", {}).get("flowRun") == flow_run:
            return Exported(path=output.absolute(), entry=folder.name, said=said.predicate)
    raise EvidenceError(f"the ledger holds no export of flow run {flow_run}", fix="see `countersign evidence list`")


def reveal_path(output: Path) -> Path:
    """Where the reveal table of a bundle lies: beside it, never in it."""
    return output.with_name(f"{output.name.removesuffix('.zip')}.reveal.csv")


def verify_line(exported: Exported) -> tuple[str, ...]:
    """Return the words of the command that checks a bundle; the key is to come from the customer by another way."""
    days = exported.said["period"]
    return ("verify", str(exported.path), "--key", "evidence.pub.pem", "--from", days["from"], "--to", days["to"])


def _check(wanted: Wanted, now: datetime) -> None:
    today = now.astimezone(UTC).date()
    if wanted.first > wanted.last:
        raise NotAPeriodError(f"the period would begin on {wanted.first} and end before, on {wanted.last}", fix="swap --from and --to")
    if wanted.last > today:
        raise NotAPeriodError(f"{wanted.last} is yet to come: today is {today} (UTC)", fix=f"end the period with --to {today} or earlier")
    if not 0 < wanted.samples <= MOST_SAMPLES:
        raise NotAPeriodError(f"a sample of {wanted.samples} cannot be drawn", fix=f"--samples takes 1 to {MOST_SAMPLES}")
    if len(str(wanted.seed)) > LONGEST_SEED or not str(wanted.seed).isprintable():
        raise NotAPeriodError(
            "the seed is too long, or holds characters that do not print", fix=f"give up to {LONGEST_SEED} printable characters"
        )
    if wanted.output.is_dir() or not wanted.output.parent.is_dir():
        raise NotAPeriodError(
            f"{wanted.output} cannot be a file: it is a folder, or lies in none", fix="name a file in a folder that exists"
        )
    for path in (wanted.output, wanted.pdf, reveal_path(wanted.output) if wanted.pseudonymised else None):
        if path is not None and not wanted.force and (path.exists() or path.is_symlink()):
            raise NotAPeriodError(f"{path} exists already, and a bundle is not written over", fix="choose another name, or add --force")


def _key(programme: Programme) -> bytes:
    if programme.evidence.pseudonyms is None:
        fix = 'add `pseudonyms: "file:keys/pseudonyms.key"` under `evidence:`; the file is made when it is first needed'
        raise NotAPeriodError("countersign.yaml names no key for pseudonyms", fix=fix)
    return load_key(programme.evidence.pseudonyms)


def _outside(said: Period, names: Pseudonyms, database: Path, wanted: Wanted) -> Period:
    names.write(said.database, database, seed=str(wanted.seed), sample_size=wanted.samples)
    return replace(
        said,
        database=database,
        partner=None if said.partner is None else names.of("partner", said.partner),
        people={names.of("person", person): names.of("name", name) for person, name in said.people.items()},
        partners={names.of("partner", partner): names.of("name", name) for partner, name in said.partners.items()},
        notes=tuple(names.sentence(note) for note in said.notes),
    )


def _pdf(said: Period, work: Path) -> bytes:
    from countersign.report.summary_pdf import write_summary_pdf  # WeasyPrint loads slowly, and is an extra

    write_summary_pdf(work / "summary.pdf", said)
    return (work / "summary.pdf").read_bytes()


def _public_keys(programme: Programme, signs: signer.Signer) -> tuple[bytes, ...]:
    """Public keys at hand: the signer's, and those that lie beside it from before a change of keys."""
    folder = programme.folder / "keys"
    return (signer.public_pem(signs), *(path.read_bytes() for path in sorted(folder.glob("*.pub.pem"))[:100] if path.is_file()))


def _check_made(programme: Programme, path: Path, keys: Sequence[Path]) -> None:
    stamps = programme.evidence.timestamps
    problems = verify(path, keys, authorities=() if stamps is None else (stamps.ca,)).problems
    if problems:
        where = f"{problems[0].file}: " if problems[0].file else ""
        raise EvidenceError(
            f"the evidence of these days does not hold, so nothing is exported: {where}{problems[0].what}",
            fix="countersign verify shows what was changed",
        )


def _kept(pems: Mapping[str, bytes], folder: Path) -> tuple[Path, ...]:
    _folder(folder)
    for keyid, pem in pems.items():
        (folder / f"{keyid}.pub.pem").write_bytes(pem)
    return tuple(sorted(folder.iterdir()))


def _newest_first(store: Store) -> Sequence[Path]:
    return [sealed.path for sealed in reversed(list(store.entries()))]


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
