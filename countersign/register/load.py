"""Reads the register folder into records, and says everything that is wrong with it at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from countersign import document
from countersign.document import Document, meant, shown
from countersign.errors import ConfigError, Problem, Where
from countersign.register.records import (
    Control,
    Customer,
    CustomerFile,
    Entry,
    EntryKind,
    Incident,
    Partner,
    PartnerFile,
    Place,
    Register,
    RegisteredException,
    Workload,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

FOLDERS = ("partners", "controls", "workloads", "exceptions", "incidents")
"""Folders of the register; each YAML file in them is one entry."""
APPROVALS = "approvals"
"""Folder of the register with approvals of plans, which are no entries: their commits are what counts (countersign/approval/commit.py)."""

_Entry = TypeVar("_Entry", bound=Entry)


def load_register(folder: Path) -> Register:
    """Read `customer.yaml` and the YAML files of `partners/`, `controls/`, `workloads/` and `exceptions/`.

    Messages name files by the folder's own name and the path inside it (`register/partners/acme.yaml`).
    Raises ConfigError with every problem of every file; the rules of `countersign.register.check` are not looked at.
    """
    found = _Found()
    folder = folder.absolute()
    try:
        read = _read(folder, found)
    except OSError as error:
        where = Where(folder.name)
        raise ConfigError((Problem(where, "", f"cannot be read: {error.strerror}", "check its permissions"),)) from error
    customer = found.customer(read.get("", []))
    partners = found.entries("partner", read.get("partners", []), PartnerFile, lambda entry: entry.partner.id)
    controls = found.entries("control", read.get("controls", []), Control, lambda entry: entry.control)
    workloads = found.entries("workload", read.get("workloads", []), Workload, lambda entry: entry.workload)
    exceptions = found.entries("exception", read.get("exceptions", []), RegisteredException, lambda entry: entry.exception)
    incidents = found.entries("incident", read.get("incidents", []), Incident, lambda entry: entry.incident)
    if found.problems or customer is None:
        raise ConfigError(tuple(sorted(found.problems, key=lambda problem: (problem.where.file, problem.where.line or 0))))
    return Register(
        customer=Customer(
            id=customer.customer.id,
            name=customer.customer.name,
            timezone=customer.customer.timezone,
            holidays=customer.customer.holidays,
            closed=customer.customer.closed,
            footprint=customer.footprint,
        ),
        people={person.id: person for person in customer.people},
        external_people=tuple(entry.partner for entry in customer.external_people),
        teams=customer.teams,
        policies=customer.policies,
        partners={key: _partner(entry) for key, entry in partners.items()},
        controls=controls,
        workloads=workloads,
        exceptions=exceptions,
        incidents=incidents,
        drills=customer.drills,
        exception_limits=customer.exceptions,
        revocation=customer.revocation,
        allowed_signers=found.texts.get("allowed_signers"),
        signatures={name.removeprefix("exceptions/"): text for name, text in found.texts.items() if name.startswith("exceptions/")},
        digest=digest_of(found.files),
        places=found.places,
        files=found.files,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What has been read so far."""

    problems: list[Problem] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    """Every file as it was read, by its path in the register."""
    texts: dict[str, str] = field(default_factory=dict)
    """What is no YAML and is read all the same, by its path in the register: who may sign, and signatures."""
    places: dict[tuple[str, str], Place] = field(default_factory=dict)

    def entries(self, kind: EntryKind, documents: list[Document], model: type[_Entry], id_of: Callable[[_Entry], str]) -> dict[str, _Entry]:
        entries: dict[str, _Entry] = {}
        for item in documents:
            entry = item.build(model, self.problems)
            if entry is not None and self.claim(kind, id_of(entry), _place(item)):
                entries[id_of(entry)] = entry
        return entries

    def customer(self, documents: list[Document]) -> CustomerFile | None:
        for item in documents:
            customer = item.build(CustomerFile, self.problems)
            if customer is not None:
                self.claim("customer", customer.customer.id, _place(item))
                for index, person in enumerate(customer.people):
                    self.claim("person", person.id, _place(item, ("people", index)))
            return customer
        return None

    def claim(self, kind: EntryKind, entry_id: str, place: Place) -> bool:
        """Note where an entry stands; False (and a problem) when there is one with its id already."""
        earlier = self.places.get((kind, entry_id))
        if earlier is None:
            self.places[kind, entry_id] = place
            return True
        message = f"there is already a {kind} called {shown(entry_id)}, at {earlier.file}:{earlier.line}"
        self.problems.append(Problem(Where(place.file, place.line), "", message, "give it another id, or delete one of the two"))
        return False


def _partner(entry: PartnerFile) -> Partner:
    return Partner(
        id=entry.partner.id,
        name=entry.partner.name,
        contract=entry.contract,
        contacts=entry.contacts,
        footprint=entry.footprint,
        policies=entry.policies,
    )


def _place(item: Document, at: document.Path_ = ()) -> Place:
    """Keep the lines of what stands at a path, under dotted names that begin there."""
    depth = len(at)
    fields = {".".join(map(str, path[depth:])): line for path, line in item.lines.items() if path[:depth] == at and len(path) > depth}
    return Place(item.file, item.where(at).line or 1, fields)


def _read(folder: Path, found: _Found) -> dict[str, list[Document]]:
    """Read all files of the register in sorted order: part of the register ("" for its root) to its documents."""
    documents: dict[str, list[Document]] = {}
    for part, path in _files(folder, found.problems):
        file = f"{folder.name}/{path.relative_to(folder).as_posix()}"
        data = document.read_bytes(path, file, found.problems)
        if data is None:
            continue
        name = path.relative_to(folder).as_posix()
        found.files[name] = data
        if name == "allowed_signers" or (part == "exceptions" and path.suffix == ".sig"):
            found.texts[name] = data.decode(errors="replace")
        if path.suffix == ".yaml":
            item = document.parse(data, file, found.problems)
            documents.setdefault(part, []).extend(() if item is None else (item,))
    return documents


def _files(folder: Path, problems: list[Problem]) -> Iterator[tuple[str, Path]]:
    """List the files that belong to the register; what would be overlooked there is a problem, so that nothing is lost silently."""
    if not (folder / "customer.yaml").is_file():
        where = Where(f"{folder.name}/customer.yaml")
        problems.append(Problem(where, "", "is missing", "write it, or start from what `countersign init` writes"))
    for path in _listed(folder, folder, problems):
        file = f"{folder.name}/{path.name}"
        if path.is_dir() and path.name in (*FOLDERS, APPROVALS):
            yield from ((path.name, inner) for inner in _entries(path, folder, problems))
        elif path.is_dir():
            close = meant(path.name, FOLDERS)
            fix = f"rename it to {close}/" if close else f"the register's folders are {', '.join(FOLDERS)}; move it elsewhere"
            problems.append(Problem(Where(file), "", "is not a folder of the register", fix))
        elif path.suffix in {".yaml", ".yml"} and path.name != "customer.yaml":
            fix = f"move it into {'/, '.join(FOLDERS[:-1])}/ or {FOLDERS[-1]}/"
            problems.append(Problem(Where(file), "", "is not read where it is", fix))
        else:
            yield "", path


def _entries(inside: Path, folder: Path, problems: list[Problem]) -> Iterator[Path]:
    for path in _listed(inside, folder, problems):
        where = Where(f"{folder.name}/{inside.name}/{path.name}")
        if path.is_dir():
            problems.append(Problem(where, "", "is a folder, and folders are not read here", f"move its files up into {inside.name}/"))
        elif path.suffix != ".yaml" and path.suffix.lower() in {".yml", ".yaml"}:
            problems.append(Problem(where, "", "is not read under this name", f"rename it to {path.stem}.yaml"))
        else:
            yield path


def _listed(inside: Path, folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """List a folder in sorted order, without hidden files; a link may only lead to something inside the register."""
    if not inside.is_dir():
        return
    for path in sorted(inside.iterdir()):
        if path.name.startswith("."):
            continue
        where = Where(f"{folder.name}/{path.relative_to(folder).as_posix()}")
        if not path.name.isprintable():
            where = Where(f"{folder.name}/{shown(path.name)}")
            problems.append(Problem(where, "", "has a name with control characters", "rename it"))
        elif path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            problems.append(Problem(where, "", "is a link that leads out of the register", "put the file itself here"))
        else:
            yield path


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return one digest over names and contents, as `sha256sum FILES | sha256sum` gives it inside the register."""
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
