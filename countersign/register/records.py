"""The register's records: who owns, delivers and answers for what, as the customer wrote it.

Attribute names are the keys of the YAML files. A field that `register check` demands may still be None here, so that a
night's run works with a register that breaks a rule.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from countersign.errors import Where
from countersign.register.fields import (
    AccountId,
    CredentialKind,
    Day,
    EntryId,
    FileName,
    IdentityPattern,
    Moment,
    NamePattern,
    Period,
    Ref,
    Refs,
    ScopePattern,
    Slug,
    Span,
    Zone,
    at_least_one,
    refusal,
    shape,
    single,
)

EXPIRY_REQUIRED = ("vault_secret_id", "vault_token", "entra_secret", "entra_certificate", "gcp_key")
"""Kinds that must have an expiry where a policy does not say (`expiry_required: None`)."""

STEPS = ("provision", "rotate", "review", "revoke")
"""The life-cycle steps of every control."""

DEFAULT_CONTROL = "default"
"""A control entry of this id stands for every control that has no entry of its own."""

EntryKind = Literal["customer", "person", "partner", "control", "workload", "exception", "incident"]


class Entry(BaseModel):
    """What all records have in common: frozen, no unknown keys, no guessing of types, values kept out of error texts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class Footprint(Entry):
    """How a party's identities are recognised, besides registration."""

    aws_accounts: tuple[AccountId, ...] = ()
    """Account numbers of 12 digits, in quotes."""
    entra_tenants: tuple[str, ...] = ()
    gcp_projects: tuple[str, ...] = ()
    oidc_issuers: tuple[str, ...] = ()
    certificate_authorities: tuple[str, ...] = ()
    """Subjects of authorities whose certificates are trusted, as the finding names them, such as `CN=Acme Device CA,O=Acme`."""
    email_domains: tuple[str, ...] = ()
    name_patterns: tuple[NamePattern, ...] = ()
    """Names of identities, with `*` for any characters."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags or labels that mark an identity as this party's; any one of them is enough."""


class Customer(Entry):
    """The organisation that carries the risk."""

    id: Slug
    name: str
    timezone: Zone = "UTC"
    """Days of the register (expiries, contract ends) begin and end in this zone."""
    holidays: str | None = None
    """Country code whose public holidays pause business hours; None: none do."""
    closed: tuple[Day, ...] = ()
    """Days on which no business hours are, such as public holidays."""
    footprint: Footprint = Field(default_factory=Footprint)
    """The customer's own accounts, tenants and issuers."""


class Person(Entry):
    """Somebody of the customer's."""

    id: EntryId
    name: str
    email: str | None = None
    active: bool
    """False once the person has left: keep the entry, so that what they owned stays visible."""
    accounts: dict[EntryId, str] = Field(default_factory=dict)
    """Their account at each tracker of the customer's own, such as `{rt: maria}`: what that account decides there, they decided."""


class Policy(Entry):
    """Limits for one track; None: no limit is set, so nothing is judged by it."""

    max_idle: Span | None = None
    max_ttl: Span | None = None
    """How long a token or lease may live from its making."""
    max_lifetime: dict[CredentialKind, Span] = Field(default_factory=dict)
    """How long a credential may be valid from its making to its expiry, by kind."""
    overlap: Span | None = None
    """How long two credentials of one identity may be active together."""
    review_every: Span | None = None
    mfa: Literal["required"] | None = None
    rotate_within: dict[CredentialKind, Span] = Field(default_factory=dict)
    expiry_required: tuple[CredentialKind, ...] | None = None
    """Kinds that must have an expiry; None: the kinds in EXPIRY_REQUIRED."""
    grace: Span = timedelta(minutes=15)
    """How long providers take to show a use (last used stays empty for minutes)."""


class Overrides(Entry):
    """Limits that a partner or a workload adds to the customer's; they only tighten (`countersign.register.policy`)."""

    human: Policy | None = None
    machine: Policy | None = None


class EnvironmentPolicies(Overrides):
    """The customer's own limits in one environment; what it sets takes the place of the general one, looser or tighter."""

    scopes: tuple[ScopePattern, ...] = ()
    """Scopes that are this environment, `provider:scope` with `*`, for whatever no workload with an environment of its own names."""


class Policies(Entry):
    """People and machines are judged by separate policies."""

    human: Policy
    machine: Policy
    environments: dict[EntryId, EnvironmentPolicies] = Field(default_factory=dict)


class DrillPeriods(Entry):
    """How often the paths that nobody uses every day are exercised; None: not demanded."""

    remediation: Span | None = None
    exception: Span | None = None


class RevocationRules(Entry):
    """What revoking a partner's access takes."""

    watch: Span = timedelta(days=14)
    """How long what was switched off is watched for use before it may be deleted."""
    large: Annotated[int, Field(ge=1)] = 100
    """A plan with more changes than this takes two approvers, as every deletion does."""
    approve_within: Span = timedelta(hours=24)
    """How long the customer may take to decide on a plan before those who may are reminded to the end of the ladder."""
    owed_within: Span = timedelta(hours=24)
    """How long after a break-glass its approval may come."""
    patience: Span = timedelta(minutes=5)
    """How long a change that the provider took may stay invisible before it counts as not made."""


class ExceptionLimits(Entry):
    """How long a finding may be accepted."""

    max_span: Span | None = None
    """From approval to expiry; None: any day in the future."""
    max_renewals: Annotated[int, Field(ge=0)] = 2


TimeOfDay = Annotated[
    str,
    AfterValidator(shape(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", "is not a time of day", 'write hours and minutes in quotes, such as "09:00"')),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"}),
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class BusinessHours(Entry):
    """When a partner works, on the clock of the customer's time zone."""

    days: Annotated[tuple[Weekday, ...], BeforeValidator(at_least_one)] = WEEK[:5]
    opens: TimeOfDay = Field(alias="from")
    closes: TimeOfDay = Field(alias="to")
    """`24:00` is the end of the day; hours do not go over midnight."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.opens >= self.closes:
            raise refusal("end before they begin", 'write `from` before `to` on one day, such as from: "09:00", to: "17:00"')
        return self


class Contract(Entry):
    """What was agreed with a partner; None: the contract does not say."""

    reference: str
    starts: Day
    ends: Day | None = None
    """Last day; None: open-ended."""
    evidence_retention: Period | None = None
    notify_within: Span | None = None
    direct_evidence_access: bool | None = None
    """Whether the customer may read the partner's evidence itself."""
    business_hours: BusinessHours | None = None
    """Hours on which the partner's time to rotate runs; None: it runs day and night."""
    pause_cap: Span = timedelta(days=1)
    """How long one decision that the customer owes stops the partner's time at most."""


class Contacts(Entry):
    """Whom to call at a partner."""

    escalation: tuple[str, ...] = ()
    """In the order in which they are called."""
    security: str | None = None


class Partner(Entry):
    """An outside organisation that delivers part of the identity programme."""

    id: Slug
    name: str
    contract: Contract
    contacts: Contacts = Field(default_factory=Contacts)
    footprint: Footprint = Field(default_factory=Footprint)
    policies: Overrides = Field(default_factory=Overrides)


class Owners(Entry):
    """The three owner layers of a control."""

    business: Ref | None = None
    technical: Ref | None = None
    operational: Ref | None = None


class Answers(Entry):
    """The four questions every control answers: who approves, implements, monitors, revokes."""

    approves: Ref | None = None
    implements: Ref | None = None
    monitors: Refs = ()
    """One name or a list."""
    revokes: Ref | None = None


class Step(Entry):
    """One life-cycle step: R does it, A is accountable, C is asked, I is told."""

    R: Ref | None = None
    A: Annotated[Ref | None, BeforeValidator(single)] = None
    """Exactly one active customer person."""
    C: Refs = ()
    I: Refs = ()  # noqa: E741 the key is called I in every RACI table


class Raci(Entry):
    """Who does what, for each life-cycle step; None: not said."""

    provision: Step | None = None
    rotate: Step | None = None
    review: Step | None = None
    revoke: Step | None = None


class Slas(Entry):
    """Service levels of a control; None: not agreed."""

    detect: Span | None = None
    escalate: Span | None = None
    rotate: Span | None = None
    revoke: Span | None = None


class Control(Entry):
    """A control and who delivers it."""

    control: Slug
    objective: str | None = None
    owners: Owners = Field(default_factory=Owners)
    answers: Answers = Field(default_factory=Answers)
    raci: Raci = Field(default_factory=Raci)
    fallback: Ref | None = None
    """Customer person who acts when everybody else fails to."""
    slas: Slas = Field(default_factory=Slas)
    evidence: tuple[str, ...] = ()


class Review(Entry):
    """Somebody looked at who holds what in a workload, and found it right or had it put right."""

    by: Ref
    on: Day
    note: str | None = None


class Workload(Entry):
    """A registered use of identities, by a partner or by the customer itself."""

    workload: EntryId
    partner: Slug | None = None
    """None: the customer's own."""
    owner: Ref | None = None
    backup_owner: Ref | None = None
    purpose: str | None = None
    environment: str | None = None
    expires: Day | None = None
    """Last day it may be used."""
    identities: tuple[IdentityPattern, ...] = ()
    """Patterns `provider:scope:kind/name`; scope and name may hold `*`."""
    policies: Overrides = Field(default_factory=Overrides)
    reviews: tuple[Review, ...] = ()
    """Access reviews of its identities; those by its owner or backup owner count."""


class RegisteredException(Entry):
    """A finding that the customer accepts for a time."""

    exception: EntryId
    control: Slug
    subject: str
    reason: str | None = None
    compensating_control: str | None = None
    exit_criteria: str | None = None
    requested_by: Ref | None = None
    approved_by: Ref | None = None
    """None: only requested, so it excepts nothing yet."""
    approved_on: Day | None = None
    expires: Day
    """Last day it holds."""
    ended_on: Day | None = None
    """First day on which it excepts nothing, where it was ended early, or filed after its end."""
    renews: EntryId | None = None
    """The exception that this one prolongs: of the same control and subject."""
    approval: FileName | None = None
    """File with the approver's signature, beside this one."""


class Incident(Entry):
    """A partner or identities that the customer declared to be in trouble: their access is to be cut within the revoke service level."""

    incident: EntryId
    declared_at: Moment
    declared_by: Ref
    reason: str | None = None
    partner: Slug | None = None
    """All identities of this partner."""
    identities: tuple[IdentityPattern, ...] = ()
    """Patterns `provider:scope:kind/name`, as a workload has them."""
    closed_at: Moment | None = None
    """None: it is open."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry is written."""

    file: str
    line: int
    fields: dict[str, int] = field(default_factory=dict)
    """Dotted field to 1-based line."""


class Register(Entry):
    """The whole register, by id."""

    customer: Customer
    people: dict[str, Person] = Field(default_factory=dict)
    external_people: tuple[str, ...] = ()
    """Partners whose people may be named, as `partner/person`; they may operate, never approve."""
    teams: dict[str, str] = Field(default_factory=dict)
    """Team to address; teams may be responsible, consulted or informed, never accountable."""
    policies: Policies
    partners: dict[str, Partner] = Field(default_factory=dict)
    controls: dict[str, Control] = Field(default_factory=dict)
    workloads: dict[str, Workload] = Field(default_factory=dict)
    exceptions: dict[str, RegisteredException] = Field(default_factory=dict)
    incidents: dict[str, Incident] = Field(default_factory=dict)
    drills: DrillPeriods = Field(default_factory=DrillPeriods)
    exception_limits: ExceptionLimits = Field(default_factory=ExceptionLimits)
    revocation: RevocationRules = Field(default_factory=RevocationRules)
    allowed_signers: str | None = None
    """Content of `register/allowed_signers` (OpenSSH's format); None: there is none, so no signature is demanded."""
    signatures: dict[str, str] = Field(default_factory=dict, repr=False)
    """Armoured SSH signatures beside the exceptions, by file name."""
    digest: str
    """`sha256:...` over the names and bytes of all files of the register."""
    places: dict[tuple[str, str], Place] = Field(default_factory=dict, repr=False, exclude=True)
    files: dict[str, bytes] = Field(default_factory=dict, repr=False, exclude=True)
    """Every file of the register as it was read, by its path in it; empty for a register that was not loaded from files."""

    def where(self, kind: EntryKind, entry_id: str, dotted_field: str = "") -> Where:
        """Return the place of a field of an entry, or of the nearest thing around it that is written down.

        The customer's own entry holds `people`, `policies`, `teams` and `external_people`. A register that was not
        loaded from files has no lines.
        """
        place = self.places.get((kind, entry_id))
        if place is None:
            return Where("register")
        while dotted_field and dotted_field not in place.fields:
            dotted_field = dotted_field.rpartition(".")[0]
        return Where(place.file, place.fields.get(dotted_field, place.line))

    def control(self, control_id: str) -> Control | None:
        """Return the entry that governs a control: its own, else the default one; None: nobody answers for it."""
        return self.controls.get(control_id) or self.controls.get(DEFAULT_CONTROL)

    def live(self, ref: str | None) -> Person | None:
        """Return the customer's person of this id while they are active, else None (also for partners' people)."""
        person = self.people.get(ref or "")
        return person if person is not None and person.active else None

    def party(self, ref: str | None) -> str | None:
        """Return the partner that a name stands for (`acme` or `acme/pavel`), or None where it is the customer's."""
        if ref is None or ref in self.people:
            return None
        head, slash, _ = ref.partition("/")
        return head if slash or head in self.partners else None

    def today(self, at: datetime) -> date:
        """Return the day of the customer's calendar at an instant."""
        return at.astimezone(ZoneInfo(self.customer.timezone)).date()

    def end_of(self, day: date) -> datetime:
        """Return the instant (UTC) when a day of the customer's calendar is over: an entry that expires on it ends then."""
        midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(self.customer.timezone))
        return midnight.astimezone(UTC)


class PartnerName(Entry):
    """Who a partner's file is about."""

    id: Slug
    name: str


class PartnerFile(Entry):
    """A file of `register/partners/`."""

    partner: PartnerName
    contract: Contract
    contacts: Contacts = Field(default_factory=Contacts)
    footprint: Footprint = Field(default_factory=Footprint)
    policies: Overrides = Field(default_factory=Overrides)


class CustomerName(Entry):
    """The `customer` of `register/customer.yaml`."""

    id: Slug
    name: str
    timezone: Zone = "UTC"
    holidays: str | None = None
    closed: tuple[Day, ...] = ()


class ExternalPeople(Entry):
    """A partner whose people may be named as `partner/person`."""

    partner: Slug


def _listed(value: object) -> object:
    return (value,) if isinstance(value, dict) else value


_ONE_PARTNER = ExternalPeople.model_json_schema()
_ONE_OR_MORE_PARTNERS = {"anyOf": [_ONE_PARTNER, {"type": "array", "items": _ONE_PARTNER}]}


class CustomerFile(Entry):
    """The file `register/customer.yaml`."""

    customer: CustomerName
    people: tuple[Person, ...]
    external_people: Annotated[tuple[ExternalPeople, ...], BeforeValidator(_listed), WithJsonSchema(_ONE_OR_MORE_PARTNERS)] = ()
    """One `{partner: id}`, or a list of them."""
    teams: dict[EntryId, str] = Field(default_factory=dict)
    """Team to address, for names under R, C and I that are no person."""
    policies: Policies
    footprint: Footprint = Field(default_factory=Footprint)
    """The customer's own accounts, tenants and issuers, in the shape of a partner's footprint."""
    drills: DrillPeriods = Field(default_factory=DrillPeriods)
    exceptions: ExceptionLimits = Field(default_factory=ExceptionLimits)
    revocation: RevocationRules = Field(default_factory=RevocationRules)
