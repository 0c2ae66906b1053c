"""The faults the promises are kept under: each is a context manager that breaks one part of a running Handrail."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from bot.crisis.classifier import MODEL_FOLDER
from tests.conftest import fresh_postgres
from tests.fakes import wait_until
from tests.stack import Stack

Fault = Callable[[Stack], AbstractContextManager[None]]


@contextmanager
def nothing(_: Stack) -> Iterator[None]:
    yield


@contextmanager
def rasa_killed(stack: Stack) -> Iterator[None]:
    stack.supervisorctl("stop", "rasa")
    try:
        yield
    finally:
        stack.supervisorctl("start", "rasa")
        stack.wait_ready()


@contextmanager
def rasa_hung(stack: Stack) -> Iterator[None]:
    pid = stack.signal("rasa", signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        stack.wait_ready()


@contextmanager
def actions_gone(stack: Stack) -> Iterator[None]:
    stack.supervisorctl("stop", "actions")
    try:
        yield
    finally:
        stack.supervisorctl("start", "actions")


@contextmanager
def actions_hung(stack: Stack) -> Iterator[None]:
    pid = stack.signal("actions", signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def database_locked(stack: Stack) -> Iterator[None]:
    holder = sqlite3.connect(stack.home / "handrail.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


@contextmanager
def database_read_only(stack: Stack) -> Iterator[None]:
    """Remount the state folder (a tmpfs of its own) read-only; a chmod would not stop root."""
    # the supervisor's logs sit on the same file system and are open for writing, so the remount is by bind
    subprocess.run(["mount", "--bind", stack.home, stack.home], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", stack.home], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", stack.home], check=True)  # a connection may be open through it


@contextmanager
def disk_full(stack: Stack) -> Iterator[None]:
    """Fill the file system the state lives on to the last byte."""
    filler = stack.home / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0")
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def no_classifier(scratch: Path) -> Iterator[None]:
    """Hide the files of the guard's classifier from processes that start meanwhile."""
    (scratch / "empty").mkdir()
    subprocess.run(["mount", "--bind", scratch / "empty", MODEL_FOLDER], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", MODEL_FOLDER], check=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A folder on a file system of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=False)


class Proxy:
    """A TCP proxy before a server; `mode` is "pass", "closed" (stopped) or "black hole" (accepts, never answers).

    It ends every connection at the age of `cut_after_seconds`, as a load balancer does. `target` may change.
    """

    def __init__(self, host: str, port: int, cut_after_seconds: float | None = None) -> None:
        self.target = (host, port)
        self.cut_after_seconds = cut_after_seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.mode = "pass"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def set(self, mode: str) -> None:
        self.mode = mode
        if mode == "closed":
            self._end(self._open)
            self._open.clear()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.mode == "closed":
                    client.close()
                    continue
                try:
                    server = socket.create_connection(self.target)
                except ConnectionRefusedError:
                    client.close()
                    continue
                self._open += [client, server]
                if self.cut_after_seconds:
                    threading.Timer(self.cut_after_seconds, self._end, ([client, server],)).start()
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if self.mode == "black hole":
                    wait_until(lambda: self.mode != "black hole", "the proxy was left a black hole", 300)
                other.sendall(data)
        self._end([one, other])

    @staticmethod
    def _end(connections: list[socket.socket]) -> None:
        for each in connections:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.set("closed")


@contextmanager
def proxied_postgres(server: str) -> Iterator[tuple[str, Proxy]]:
    """A fresh PostgreSQL database behind a proxy: the URL that goes through it, and the proxy."""
    with fresh_postgres(server) as url:
        parts = urlsplit(url)
        proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
        yield parts._replace(netloc=f"{parts.username or 'postgres'}@127.0.0.1:{proxy.port}").geturl(), proxy
        proxy.close()
