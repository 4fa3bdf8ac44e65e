"""A real Request Tracker from Debian's package: an SQLite file, a free port, one queue, and people with different rights."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

if TYPE_CHECKING:
    from types import TracebackType

SHARE = Path("/usr/share/request-tracker5")
PACKAGES = "request-tracker5 rt5-standalone rt5-db-sqlite"
QUEUE = "Partner access"
SERVICE, OWNER, PARTNER, STRANGER = "countersign", "mkeller", "acme-pavel", "stranger"
"""Our service account; the customer's accountable owner; a partner's person, who may read and comment; somebody without rights."""
WORKERS = 6
STARTS_WITHIN_S = 60.0

_SITE = """
Set($rtname, 'northwind');
Set($Organization, 'northwind.example');
Set($WebDomain, '127.0.0.1');
Set($WebPort, {port});
Set($WebPath, '');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '{folder}/rt.sqlite');
Set($MailCommand, 'testfile');
Set($Timezone, 'Europe/Berlin');
Set($BcryptCost, 4);
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'warning');
$RT::MasonDataDir = '{folder}/mason';
$RT::MasonSessionDir = '{folder}/sessions';
$RT::VarPath = '{folder}';
1;
"""

# The hash of a token is checked with every request, which takes 0.2 s at the cost that RT sets by itself.
# Rights as docs/how-to/use-request-tracker.md asks for them, given by RT's own code, as its administration pages do.
_PEOPLE = """
use strict; use warnings;
our @Final = (sub {{
    open(my $file, '>:encoding(UTF-8)', '{folder}/tokens') or die $!;
    my $other = RT::Queue->new(RT->SystemUser);
    $other->Create(Name => 'Elsewhere') or die;
    my $queue = RT::Queue->new(RT->SystemUser);
    $queue->Create(Name => '{queue}') or die;
    my %rights = (
        '{service}' => [qw(SeeQueue CreateTicket ShowTicket ShowTicketComments CommentOnTicket ModifyTicket ReassignTicket)],
        '{owner}' => [qw(SeeQueue ShowTicket ShowTicketComments CommentOnTicket OwnTicket ModifyTicket DeleteTicket)],
        '{partner}' => [qw(SeeQueue CreateTicket ShowTicket CommentOnTicket ReplyToTicket)],
        '{stranger}' => [],
    );
    for my $name (sort keys %rights) {{
        my $user = RT::User->new(RT->SystemUser);
        my ($ok, $said) = $user->Create(Name => $name, EmailAddress => "$name\\@example.org", Privileged => 1);
        die $said unless $ok;
        for my $right (@{{ $rights{{$name}} }}) {{
            ($ok, $said) = $user->PrincipalObj->GrantRight(Right => $right, Object => $queue);
            die $said unless $ok;
        }}
        my $token = RT::AuthToken->new(RT->SystemUser);
        my ($id, undef, $text) = $token->Create(Owner => $user->Id, Description => 'tests');
        die "no token" unless $id;
        print $file "$name $text\\n";
    }}
    close $file;
}});
1;
"""


@dataclass
class RequestTracker:
    """A running server; a context manager that makes it, in a folder that its caller removes."""

    folder: Path

    def __enter__(self) -> Self:
        assert (SHARE / "libexec" / "rt-server").exists(), f"Request Tracker is missing: apt-get install --no-install-recommends {PACKAGES}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        names = {"queue": QUEUE, "service": SERVICE, "owner": OWNER, "partner": PARTNER, "stranger": STRANGER}
        (self.folder / "RT_SiteConfig.pm").write_text(_SITE.format(port=self.port, folder=self.folder), encoding="utf-8")
        (self.folder / "people.pl").write_text(_PEOPLE.format(folder=self.folder, **names), encoding="utf-8")
        for name in ("mason", "sessions", "site"):
            (self.folder / name).mkdir()
        self._environment = {
            **os.environ,
            "RT_SITE_CONFIG": str(self.folder / "RT_SiteConfig.pm"),
            "RT_SITE_CONFIG_DIR": str(self.folder / "site"),
        }
        self._set_up("--action", "init", "--skip-create")
        self._set_up("--action", "insert", "--datafile", str(self.folder / "people.pl"))
        lines = (self.folder / "tokens").read_text(encoding="utf-8").splitlines()
        self.tokens = dict(line.split(" ") for line in lines)
        self._log = (self.folder / "log").open("wb")
        self._server = subprocess.Popen(
            (str(SHARE / "libexec" / "rt-server"), "--host", "127.0.0.1", "--port", str(self.port), "--max-workers", str(WORKERS)),
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            cwd=self.folder,
            start_new_session=True,
        )
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        self._log.close()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def as_user(self, name: str) -> httpx.Client:
        """Speak to it as one of its people do; the caller closes the client."""
        headers = {"Authorization": f"token {self.tokens[name]}"}
        return httpx.Client(base_url=f"{self.url}/REST/2.0", headers=headers, timeout=30, trust_env=False)

    def _set_up(self, *arguments: str) -> None:
        command = ("/usr/sbin/rt-setup-database-5", "--dba-password", "", *arguments)
        done = subprocess.run(command, env=self._environment, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def _wait(self) -> None:
        until = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < until:
            assert self._server.poll() is None, (self.folder / "log").read_text(encoding="utf-8", errors="replace")
            try:
                httpx.get(f"{self.url}/REST/2.0/rt", timeout=5, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("Request Tracker did not start")
