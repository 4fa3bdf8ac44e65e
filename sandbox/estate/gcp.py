"""Seeds Northwind's Google Cloud: five projects, one of which refuses to be read, and everybody from outside who may come in."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sandbox.estate.places import (
    ACME_ISSUER,
    ACME_PROJECT,
    ANALYTICS,
    BRIGHTPATH_PROJECT,
    CANARY,
    CORVID_ACCOUNT,
    CORVID_ISSUER,
    EDGE,
    HOSTILE_HTML,
    LAB,
    MAINFRAME,
    ORGANIZATION,
    PROJECT,
    guid,
)  # fmt: skip

if TYPE_CHECKING:
    from sandbox.gcp import Account, Project, SandboxGcp

NUMBERS = {PROJECT: "845120936471", ANALYTICS: "845120936472", EDGE: "845120936473", LAB: "845120936474", MAINFRAME: "845120936475"}
COMPUTE = f"{NUMBERS[PROJECT]}-compute@developer.gserviceaccount.com"


def email(name: str, project: str = PROJECT) -> str:
    """Give the e-mail of a service account of a project."""
    return f"{name}@{project}.iam.gserviceaccount.com"


def seed(gcp: SandboxGcp, now: datetime) -> None:
    """Write the organization and its projects; ages are relative to `now` (UTC)."""
    organization = gcp.organization(ORGANIZATION, display_name="northwind.example")
    organization.bind("roles/resourcemanager.organizationAdmin", "user:maria@northwind.example", "group:admins@corvid.example")
    organization.bind("roles/iam.securityReviewer", "group:auditors@northwind.example")
    organization.workforce_pool("corvid-staff", display_name="Corvid support staff")
    organization.workforce_provider("corvid-staff", "corvid-login", oidc=CORVID_ISSUER, client_id="northwind-console")
    projects = {name: gcp.project(name, number, organization=organization) for name, number in NUMBERS.items()}
    _shop(projects[PROJECT], now)
    _analytics(projects[ANALYTICS], now)
    _edge(projects[EDGE], now)
    _lab(projects[LAB], now)
    _mainframe(projects[MAINFRAME], now)
    gcp.deny(MAINFRAME)


def _key(  # noqa: PLR0913 -- a key has these parts
    now: datetime,
    account: Account,
    number: int,
    *,
    age: float,
    life: float | None,
    used: float | None,
    disabled: bool = False,
    exposed: bool = False,
) -> None:
    """Add a key; ages in days, `life` None: it never expires, `used` None: Google watched it and saw no use."""
    start = (now - timedelta(days=age)).replace(microsecond=0)
    key_id = guid(f"key/{account.email}/{number}").replace("-", "")
    end = None if life is None else start + timedelta(days=life)
    key = account.project.key(account, key_id, start, end, disabled=disabled, exposed=exposed)
    account.project.used(key, None if used is None else now - timedelta(days=used))


def _account(now: datetime, project: Project, name: str, *, age: float, used: float | None, **fields: str | bool) -> Account:
    """Add a service account; `used` None: Google watched it and saw no use."""
    account = project.service_account(name, created=now - timedelta(days=age), **fields)  # type: ignore[arg-type] # texts and one flag
    project.used(account, None if used is None else now - timedelta(days=used))
    return account


def _shop(project: Project, now: datetime) -> None:
    deploy = _account(
        now, project, "acme-deploy", age=420, used=3, display_name="Acme deploys the shop",
        description="owner=maria; purpose=deploys the shop; partner=acme",
    )  # fmt: skip
    _key(now, deploy, 1, age=20, life=90, used=3)
    # Those before it, switched off on the day that the next one came.
    _key(now, deploy, 2, age=100, life=90, used=21, disabled=True)
    _key(now, deploy, 3, age=175, life=90, used=101, disabled=True)
    project.bind("roles/run.developer", f"serviceAccount:{deploy.email}", f"serviceAccount:{email('runner', ACME_PROJECT)}")
    loader = _account(now, project, "brightpath-loader", age=800, used=4, display_name="Brightpath loader")
    _key(now, loader, 1, age=80, life=365, used=4)
    project.bind("roles/bigquery.dataViewer", f"serviceAccount:{loader.email}")
    etl = _account(now, project, "corvid-etl", age=1140, used=3, display_name="etl (do not touch!!)")
    _key(now, etl, 1, age=1130, life=None, used=None, exposed=True)
    _key(now, etl, 2, age=502, life=None, used=3)
    _key(now, etl, 3, age=430, life=365, used=70)
    _key(now, etl, 4, age=1100, life=None, used=None, disabled=True)
    project.bind("roles/editor", f"serviceAccount:{etl.email}")
    api = _account(
        now, project, "orders-api", age=620, used=3, display_name="Orders API", description="owner=devika; purpose=runs the orders API"
    )
    project.bind("roles/storage.objectViewer", f"serviceAccount:{api.email}")
    _account(now, project, COMPUTE, age=1500, used=None, display_name="Compute Engine default service account")
    project.bind("roles/editor", f"serviceAccount:{COMPUTE}")
    project.bind("roles/viewer", "user:pavel@acme.example", "user:maria@northwind.example")
    project.bind("roles/owner", "user:devika@northwind.example", "user:j.larsen@corvid.example")
    instance = f"//compute.googleapis.com/projects/{project.project_id}/zones/europe-west2-a/instances/orders-1"
    script = {"key": "startup-script", "value": f"export DATABASE_PASSWORD={CANARY}"}
    project.resource(instance, "compute.googleapis.com/Instance", data={"name": "orders-1", "metadata": {"items": [script]}})
    project.pool("acme", display_name="Acme's pipelines", created=now - timedelta(days=200))
    condition = "assertion.repository == 'northwind-shop'"
    project.provider("acme", "pipelines", oidc=ACME_ISSUER, condition=condition)
    pipelines = f"principalSet://iam.googleapis.com/{project.numbered}/locations/global/workloadIdentityPools/acme"
    deploy.bind("roles/iam.workloadIdentityUser", f"{pipelines}/attribute.repository/northwind-shop")
    project.pool("corvid-aws", display_name="corvid", created=now - timedelta(days=900))
    project.provider("corvid-aws", "delivery", aws=CORVID_ACCOUNT)


def _analytics(project: Project, now: datetime) -> None:
    forecast = _account(now, project, "brightpath-forecast", age=900, used=60, display_name="Forecasts")
    project.bind("roles/bigquery.dataViewer", f"serviceAccount:{forecast.email}", "user:lena@brightpath.example")
    forecast.bind("roles/iam.serviceAccountTokenCreator", f"serviceAccount:{email('trainer', BRIGHTPATH_PROJECT)}")
    loader = _account(
        now, project, "warehouse-loader", age=500, used=3, display_name="Warehouse loader", description="owner=devika; purpose=loads"
    )
    project.bind(project.role("warehouseLoader", "bigquery.tables.updateData", title="Warehouse loader"), f"serviceAccount:{loader.email}")
    sync = _account(now, project, "corvid-sync", age=1000, used=75, display_name="sync")
    _key(now, sync, 1, age=1000, life=None, used=75)
    keeper = project.role("corvidKeeper", "iam.serviceAccountKeys.create", "resourcemanager.projects.setIamPolicy", title="Corvid keeper")
    project.bind(keeper, f"serviceAccount:{sync.email}")


def _edge(project: Project, now: datetime) -> None:
    _account(now, project, "edge-cdn", age=40, used=None, display_name=HOSTILE_HTML)
    bucket = project.resource("//storage.googleapis.com/northwind-press", "storage.googleapis.com/Bucket")
    bucket.bind("roles/storage.objectViewer", "allUsers")
    project.bind("roles/storage.admin", "user:kurt.w.1987@gmail.com")
    project.api_key(guid("api-key/maps"), "Maps on the shop's pages", now - timedelta(days=1250))
    restricted = {"apiTargets": [{"service": "maps-backend.googleapis.com"}]}
    project.api_key(guid("api-key/stores"), "Store finder", now - timedelta(days=60), restrictions=restricted)


def _lab(project: Project, now: datetime) -> None:
    _account(now, project, "corvid-poc", age=80, used=None, display_name="proof of concept")
    project.bind("roles/viewer", f"serviceAccount:{email('corvid-poc', LAB)}")
    _account(now, project, "old-import", age=1300, used=None, disabled=True)


def _mainframe(project: Project, now: datetime) -> None:
    bridge = _account(now, project, "corvid-mainframe", age=1900, used=2)
    _key(now, bridge, 1, age=1900, life=None, used=2)
    project.bind("roles/owner", f"serviceAccount:{bridge.email}")
