"""Where tickets go, as `countersign.yaml` has it under `desk`: one record per tracker, and what no field alone can show to be wrong."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from countersign.document import Document
from countersign.errors import Problem
from countersign.register.fields import Address, SourceName, at_least_one, refusal, shape
from countersign.register.records import Entry

QueueName = Annotated[
    str,
    AfterValidator(
        # It is written into RT's query language between quotes.
        shape(r"(?=.*[^0-9])[^'\"\\\\/\x00-\x1f\x7f]{1,200}", "is not the name of a queue", "write its name as RT shows it, not its number")
    ),
]
StatusName = Annotated[str, AfterValidator(shape(r"[^\W_][\w .-]{0,63}", "is not a status", "write it as the queue's life cycle does"))]
Repository = Annotated[
    str,
    AfterValidator(shape(r"(?!\.)[\w.-]{1,100}/(?!\.{1,2}$)[\w.-]{1,100}", "is not the name of a repository", "write it as owner/name")),
]
TableName = Annotated[str, AfterValidator(shape(r"[a-z][a-z0-9_]{0,79}", "is no name of a table", "write it like incident or sc_task"))]
UserName = Annotated[str, AfterValidator(shape(r"[^\s:^,]{1,100}", "is not a user name", "write the name that the account signs in with"))]
RecordId = Annotated[str, AfterValidator(shape(r"[0-9a-f]{32}", "is not a sys_id", "copy the group's sys_id: 32 hexadecimal digits"))]
StateValue = Annotated[str, AfterValidator(shape(r"-?\d{1,4}", "is not a value of `state`", "write the number, in quotes"))]
ProjectKey = Annotated[str, AfterValidator(shape(r"[A-Z][A-Z0-9_]{0,49}", "is not the key of a project", "write it as in SEC-12: SEC"))]
ProjectPath = Annotated[
    str,
    AfterValidator(
        shape(r"\d+|\w[\w.-]*(/\w[\w.-]*)+", "is not the path of a project", "write it as group/project, as in its address, or its number")
    ),
]
# The labels by which tickets are found are none of a severity's, since those are taken off; GitLab separates names with commas.
_LABEL = r"(?!(?i:countersign|cs1-[a-z2-7]{{26}})$)(?=[^\s,])[^,\x00-\x1f\x7f]{{1,{most}}}(?<!\s)"
_LABEL_FIX = "write its name, of at most {most} characters and without a comma, and none that tickets bear anyway"
GitHubLabel = Annotated[str, AfterValidator(shape(_LABEL.format(most=50), "is no label for a severity", _LABEL_FIX.format(most=50)))]
GitLabLabel = Annotated[str, AfterValidator(shape(_LABEL.format(most=255), "is no label for a severity", _LABEL_FIX.format(most=255)))]
PriorityName = Annotated[
    str, AfterValidator(shape(r"(?=\S)[^\x00-\x1f\x7f]{1,255}(?<!\s)", "is not the name of a priority", "write it as Jira shows it"))
]
_OURS = (
    *("number", "state", "correlation_id", "correlation_display", "short_description", "description", "due_date"),
    *("assigned_to", "assignment_group", "close_code", "close_notes", "work_notes", "comments"),
)


def _not_ours(column: str) -> str:
    if column in _OURS or column.startswith("sys_"):
        raise refusal("is a column that tickets use for something else", "name the columns of your table that say how severe a task is")
    return column


ColumnName = Annotated[
    str,
    AfterValidator(shape(r"[a-z][a-z0-9_]{0,79}", "is no name of a column", "write it like impact or u_severity")),
    AfterValidator(_not_ours),
]
ColumnValue = Annotated[
    str,
    AfterValidator(shape(r"(?=\S)[^\x00-\x1f\x7f]{1,100}(?<!\s)", "is not a value of a column", 'write the value, not its label: "1"')),
]


def _some(columns: dict[str, str]) -> dict[str, str]:
    if not columns:
        raise refusal("names no column", 'write it like {impact: "1", urgency: "1"}')
    return columns


Columns = Annotated[dict[ColumnName, ColumnValue], AfterValidator(_some)]
TokenFrom = Annotated[
    str,
    AfterValidator(
        shape(
            r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*",
            "does not say where the token is",
            "write env:NAME or file:PATH, and never the token itself (replace it, if it stood here and the file was ever shared)",
        )
    ),
]


_Said = TypeVar("_Said")


class Severities(Entry, Generic[_Said]):
    """How each severity is said in a tracker, by a field of its own that people sort and filter by."""

    critical: _Said
    high: _Said
    medium: _Said
    low: _Said

    def of(self, severity: str) -> _Said:
        """Return how a draft's severity is said."""
        return self.all()[severity]

    def all(self) -> Mapping[str, _Said]:
        """Return how each severity is said, by its name."""
        return {"critical": self.critical, "high": self.high, "medium": self.medium, "low": self.low}


class Desk(Entry):
    """Tickets in the state database."""

    kind: Literal["local"] = "local"


class RequestTracker(Entry):
    """A queue of a Request Tracker 5 that the customer runs."""

    kind: Literal["request_tracker"] = "request_tracker"
    name: SourceName = "rt"
    """What `accounts` of the people in register/customer.yaml call it."""
    url: Address
    """Where people open it, without `/REST/2.0`."""
    queue: QueueName
    token_from: TokenFrom
    """Where the service account's authentication token is: `env:` and a variable, or `file:` and an absolute path."""
    ca: str | None = None
    """Absolute path of a PEM file; None: the authorities that the HTTP library brings."""
    opens: StatusName = "open"
    """Status that a ticket is given to be worked on again."""
    closes: StatusName = "resolved"
    """Status that a ticket is given when its findings are gone."""
    inactive: Annotated[tuple[StatusName, ...], BeforeValidator(at_least_one)] = ("resolved", "rejected", "deleted")
    """Statuses of the queue's life cycle that count as closed in a ticket's history."""
    approves: StatusName = "resolved"
    """Status that an accountable owner gives an approval ticket to approve the plan."""
    declines: StatusName = "rejected"
    """The same, to decline it; on any other ticket it says that it is not to be fixed."""


class GitHub(Entry):
    """The issues of a repository of the customer's on GitHub."""

    kind: Literal["github"] = "github"
    name: SourceName = "github"
    """What `accounts` of the people in register/customer.yaml call it."""
    url: Address = "https://api.github.com"
    """Where the API is; of an Enterprise Server `https://host/api/v3`."""
    repository: Repository
    token_from: TokenFrom
    """Where the account's token is, as for Request Tracker."""
    ca: str | None = None
    """Absolute path of a PEM file; None: the authorities that the HTTP library brings."""
    severities: Severities[GitHubLabel] | None = None
    """The label of each severity; None: it stands in the text alone."""


class GitLab(Entry):
    """The issues of a project of the customer's on GitLab."""

    kind: Literal["gitlab"] = "gitlab"
    name: SourceName = "gitlab"
    """What `accounts` of the people in register/customer.yaml call it."""
    url: Address = "https://gitlab.com"
    """Where people open it, without `/api/v4`."""
    project: ProjectPath
    token_from: TokenFrom
    """Where the account's token is, as for Request Tracker."""
    ca: str | None = None
    """Absolute path of a PEM file; None: the authorities that the HTTP library brings."""
    severities: Severities[GitLabLabel] | None = None
    """The label of each severity; None: it stands in the text alone."""


class Jira(Entry):
    """A project of the customer's in Jira."""

    kind: Literal["jira"] = "jira"
    deployment: Literal["cloud", "data_center"]
    name: SourceName = "jira"
    """What `accounts` of the people in register/customer.yaml call it: there stand account ids (Cloud) or names."""
    url: Address
    """Where people open it, without `/rest`."""
    project: ProjectKey
    issue_type: StatusName = "Task"
    user: str | None = None
    """Cloud: the e-mail address that the API token belongs to. Data Center: None, its tokens name their account."""
    token_from: TokenFrom
    """Where the API token (Cloud) or personal access token is, as for Request Tracker."""
    ca: str | None = None
    """Absolute path of a PEM file; None: the authorities that the HTTP library brings."""
    opens: StatusName | None = None
    """Step of the workflow, or its status, by which a ticket is opened again; None: the first that leads out of what is done."""
    closes: StatusName | None = None
    """The same for closing; None: the first that leads to what is done."""
    resolution: StatusName | None = None
    """Resolution to set when closing, where the workflow asks for one."""
    severities: Severities[PriorityName] | None = None
    """The priority of each severity; None: it stands in the text alone."""


class ServiceNow(Entry):
    """A table of tasks in the customer's ServiceNow."""

    kind: Literal["servicenow"] = "servicenow"
    name: SourceName = "servicenow"
    """What `accounts` of the people in register/customer.yaml call it."""
    url: Address
    """The instance, such as https://example.service-now.com."""
    table: TableName = "incident"
    user: UserName
    """User name of the service account."""
    auth: Literal["basic", "bearer"] = "basic"
    """Whether what `token_from` names is that account's password or an access token of it."""
    token_from: TokenFrom
    ca: str | None = None
    """Absolute path of a PEM file; None: the authorities that the HTTP library brings."""
    assignment_group: RecordId | None = None
    """`sys_id` of the group that new tickets are given to."""
    opens: StateValue = "2"
    """Value of `state` that a ticket is given to be worked on again; those given here are an incident's."""
    closes: StateValue = "6"
    inactive: Annotated[tuple[StateValue, ...], BeforeValidator(at_least_one)] = ("6", "7", "8")
    """Values of `state` that count as closed."""
    declines: StateValue = "8"
    """Value of `state` by which people say that a task is not to be fixed; that given here is an incident's `Canceled`."""
    close_code: StatusName | None = None
    """Resolution code to set when closing, with a note, where the table asks for them."""
    comments_in: Literal["work_notes", "comments"] = "work_notes"
    severities: Severities[Columns] | None = None
    """The columns that say each severity, the same for all, with the values that the table keeps; None: it stands in the text alone."""


class TicketFolder(Entry):
    """A folder with one JSON file for each ticket."""

    kind: Literal["file"] = "file"
    folder: Path
    """Absolute, in the file from the programme folder."""


AnyDesk = Desk | TicketFolder | RequestTracker | GitHub | GitLab | Jira | ServiceNow
_Tracker = RequestTracker | GitHub | GitLab | Jira | ServiceNow
_TRACKERS: dict[object, type[_Tracker]] = {
    "request_tracker": RequestTracker,
    "github": GitHub,
    "gitlab": GitLab,
    "jira": Jira,
    "servicenow": ServiceNow,
}


def read_desk(written: Document, folder: Path, problems: list[Problem]) -> AnyDesk | None:
    """Read where tickets go; nothing is said of it: the local desk. None when problems were added."""
    given = written.data.get("desk")
    if given is None:
        return Desk()
    if not isinstance(given, Mapping):
        problems.append(written.problem(("desk",), "is not a desk", "write `desk: {kind: local}`"))
        return None
    if given.get("kind") == "file":
        folder_given = {"folder": folder / given["folder"]} if isinstance(given.get("folder"), str) else {}
        return written.build(TicketFolder, problems, data={**given, **folder_given}, at=("desk",))
    tracker = _TRACKERS.get(given.get("kind"))
    if tracker is None:
        return written.build(Desk, problems, data=given, at=("desk",))
    data, token = dict(given), given.get("token_from")
    if isinstance(given.get("ca"), str):
        data["ca"] = str(folder / str(given["ca"]))
    if isinstance(token, str) and token.startswith("file:") and len(token) > len("file:"):
        data["token_from"] = f"file:{folder / token.removeprefix('file:')}"
    desk = written.build(tracker, problems, data=data, at=("desk",))
    problems.extend(() if desk is None else _desk_problems(written, desk))
    return desk


def _desk_problems(written: Document, desk: _Tracker) -> Iterator[Problem]:
    """Find what one field alone cannot show."""
    if isinstance(desk, RequestTracker | ServiceNow) and desk.closes not in desk.inactive:
        yield written.problem(("desk", "closes"), "is not one of the `inactive` statuses", "name it under `inactive` too")
    if isinstance(desk, RequestTracker) and desk.approves == desk.declines:
        yield written.problem(("desk", "declines"), "is the status that approves too", "give approving and declining a status each")
    if isinstance(desk, Jira) and (desk.deployment == "cloud") == (desk.user is None):
        fix = "write the address of the token's account" if desk.user is None else "leave it out: the token names its account"
        yield written.problem(("desk", "user"), "is missing" if desk.user is None else "is for Jira Cloud", fix)
    if isinstance(desk, ServiceNow) and desk.severities is not None:
        said = desk.severities.all()
        other = next((name for name in said if said[name].keys() != desk.severities.critical.keys()), None)
        if other is not None:
            # Else a column would keep what it said of the severity before.
            where = ("desk", "severities", other)
            yield written.problem(where, "does not name the columns that `critical` names", "give all four severities the same columns")
    parts = urlsplit(desk.url)
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        yield written.problem(("desk", "url"), "would send the token in the clear", "write https://")
