"""Several desks, consoles, Rasas and actions behind nginx on one PostgreSQL: real processes on loopback.

    .venv/app/bin/python -m tests.replicas [--url postgresql://...]    starts two of each and prints the address

The same shape as deploy/compose.yml, with deploy/nginx/handrail.conf as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from bot.settings import ROOT
from bot.store.cipher import make_keys
from tests.conftest import absent, fresh_postgres
from tests.fakes import wait_until
from tests.stack import START_TIMEOUT_SECONDS, Person, free_port

NGINX = "/usr/sbin/nginx"
HANDRAIL = str(Path(sys.executable).parent / "handrail")
SERVERS = "server 127.0.0.1:{} max_fails=1 fail_timeout=2s;"
NGINX_CONF = """
user root;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_authorization $who {{ "" $request_id; default $http_authorization; }}
  upstream desks {{ hash $who consistent; {desks} keepalive 64; }}
  upstream consoles {{ least_conn; {consoles} keepalive 16; }}
  upstream actions {{ {actions} keepalive 16; }}
  server {{ listen 127.0.0.1:{port}; include {root}/deploy/nginx/handrail.conf; }}
  server {{
    listen 127.0.0.1:{actions_port};
    location / {{
      proxy_pass http://actions;
      proxy_connect_timeout 1s;
      proxy_read_timeout 2s;
      proxy_next_upstream error timeout non_idempotent;
    }}
  }}
}}
"""


class Replicas:
    """`count` of each kind. With `rasas` given, these addresses are asked instead of real Rasas and actions."""

    def __init__(
        self, folder: Path, database_url: str, *, rasas: Sequence[str] = (), count: int = 2, **settings: Any
    ) -> None:
        if not Path(NGINX).exists():
            absent("no nginx: apt-get install nginx-light")
        self.folder, self._database_url, self._settings = folder, database_url, settings
        kinds = ("desk", "console") if rasas else ("actions", "rasa", "desk", "console")
        self._port = {f"{kind}-{number}": free_port() for kind in kinds for number in range(1, count + 1)}
        self.port, self._actions_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._rasas = list(rasas) or [self.address(name) for name in self._named("rasa")]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "home-1").mkdir(parents=True, mode=0o700)
        make_keys(folder / "home-1" / "keys")
        for number in range(2, count + 1):
            shutil.copytree(folder / "home-1", folder / f"home-{number}")
        if not rasas:
            models = Path(os.environ.get("HANDRAIL_TEST_MODELS", ROOT / ".handrail" / "models"))
            for number in range(1, count + 1):
                shutil.copytree(models, folder / f"home-{number}" / "models")

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self._port[name]}"

    def home(self, name: str) -> Path:
        return self.folder / f"home-{name.rpartition('-')[2]}"

    def pids(self, kind: str) -> list[int]:
        """Return the processes of a kind that were started here; what they started is below them."""
        return [each.pid for name, each in self._processes.items() if name.startswith(kind)]

    def _named(self, kind: str) -> list[str]:
        return [name for name in self._port if name.startswith(kind)]

    def begin(self) -> Replicas:
        """Start everything and wait until people can talk through nginx."""
        try:
            for name in self._port:
                self.start(name, wait=False)
            self._start_nginx()
            for name in self._port:
                self.wait(name)
            for name in self._named("desk"):
                wait_until(lambda name=name: self._is_whole(name), self.log, START_TIMEOUT_SECONDS, 0.1)
        except BaseException:
            self.stop()
            raise
        return self

    def start(self, name: str, *, wait: bool = True) -> None:
        """Start one process; its state is in a home of its own, with the same keys."""
        kind = name.split("-")[0]
        environment = os.environ | {
            "HANDRAIL_HOME": str(self.home(name)),
            "HANDRAIL_DATABASE_URL": self._database_url,
            "HANDRAIL_CONSOLE_APART": "true",
            "HANDRAIL_RASA_URL": ",".join(self._rasas),
            "HANDRAIL_ACTIONS_URL": f"http://127.0.0.1:{self._actions_port}/webhook",
            # nobody to wait for: this machine's desk is not at this port
            "HANDRAIL_PORT": str(self._port[name]),
            "HANDRAIL_RASA_PORT": str(self._port[name]),
            "HANDRAIL_ACTIONS_PORT": str(self._port[name]),
            **{f"HANDRAIL_{key.upper()}": str(value) for key, value in self._settings.items()},
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [HANDRAIL, "serve", kind], env=environment, stdout=log, stderr=log, cwd=ROOT
            )
        if wait:
            self.wait(name)

    def wait(self, name: str) -> None:
        """Wait until a process answers."""
        path = {"desk": "/healthz", "console": "/healthz", "rasa": "/", "actions": "/health"}[name.split("-")[0]]

        def answers() -> bool:
            assert self._processes[name].poll() is None, self.log()
            try:
                return httpx.get(self.address(name) + path, timeout=2, trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(answers, self.log, START_TIMEOUT_SECONDS, 0.05)

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End one process and wait until it is gone."""
        process = self._processes.pop(name)
        process.send_signal(number)
        process.wait(30)

    def restart(self, kind: str) -> None:
        """Restart every process of a kind, one after the other, as an upgrade does."""
        for name in self._named(kind):
            self.end(name)
            self.start(name)

    def parts(self, name: str) -> dict[str, str]:
        try:
            return dict(httpx.get(f"{self.address(name)}/readyz", timeout=5, trust_env=False).json()["parts"])
        except (httpx.HTTPError, ValueError):
            return {}

    def _is_whole(self, name: str) -> bool:
        parts = self.parts(name)
        return bool(parts) and all(parts[part] == "ok" for part in ("store", "rasa", "content"))

    def person(self, name: str = "", language: str = "en") -> Person:
        """Somebody who talks to one desk, or through nginx."""
        return Person(self.address(name) if name else self.url, language)

    def log(self) -> str:
        return "\n".join(
            f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in self.folder.glob("*.log")
        )

    def _start_nginx(self) -> None:
        def servers(kind: str) -> str:
            named = self._named(kind)
            return " ".join(SERVERS.format(self._port[name]) for name in named) or SERVERS.format(9)

        conf = self.folder / "nginx.conf"
        conf.write_text(
            NGINX_CONF.format(
                folder=self.folder,
                root=ROOT,
                port=self.port,
                actions_port=self._actions_port,
                desks=servers("desk"),
                consoles=servers("console"),
                actions=servers("actions"),
            )
        )
        command = [NGINX, "-e", str(self.folder / "nginx.log"), "-c", str(conf), "-g", "daemon off;"]
        with (self.folder / "nginx.log").open("ab") as log:
            self._processes["nginx"] = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self._processes.clear()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="postgresql://postgres@127.0.0.1:5432/postgres", help="of a PostgreSQL server")
    parser.add_argument("--count", type=int, default=2, help="of each kind")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fresh_postgres(arguments.url) as database_url:
        replicas = Replicas(Path(folder), database_url, count=arguments.count).begin()
        print(f"{replicas.url}/  demo page through nginx; Ctrl-C stops everything", flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            replicas.stop()


if __name__ == "__main__":
    main()
