"""Training the model and running the processes: what `handrail train` and `handrail serve` do."""

from __future__ import annotations

import gc
import hashlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bot.errors import SettingsError
from bot.settings import ROOT, Settings
from bot.store.cipher import read_keys

MODEL = "handrail"
TRAINED_FROM = ("config.yml", "domain.yml", "data", "bot/crisis/model/model.onnx")
DESK_FIRST_SECONDS = 10.0
COLLECT_AFTER = 10_000  # objects made and not freed; Python's own value is 700
SWITCH_SECONDS = 0.001  # the loop answers crises: it must not wait Python's 5 ms for each thread of the record
LONGEST_SOCKET_PATH = 107  # bytes; Linux unix(7)
SUPERVISOR_CONFIG = ROOT / "deploy" / "supervisord.conf"
RASA_BIN = ROOT / ".venv" / "rasa" / "bin" / "rasa"

Say = Callable[[str], None]


def model_path(settings: Settings) -> Path:
    return settings.home / "models" / f"{MODEL}.tar.gz"


def fingerprint() -> str:
    """Return the hash of every file the model is trained from."""
    digest = hashlib.sha256()
    for name in TRAINED_FROM:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(top.rglob("*.yml")):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def train(settings: Settings, say: Say, *, force: bool = False) -> bool:
    """Train the Rasa model when its files changed since the last time; return whether it was trained.

    Rasa's own progress goes to the terminal. A failed training leaves the earlier model in place.
    """
    target, mark = model_path(settings), settings.home / "models" / "trained-from"
    now = fingerprint()
    if not force and target.exists() and mark.exists() and mark.read_text() == now:
        return False
    if not RASA_BIN.exists():
        raise SettingsError("the Rasa environment is missing; `make rasa-env` makes it")
    say("Training the Rasa model (a few minutes; again only when what it is made from changes) ...")
    fresh = target.parent / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    command = [str(RASA_BIN), "train", "--fixed-model-name", MODEL, "--out", str(fresh)]
    command += ["--domain", "domain.yml", "--config", "config.yml", "--data", "data"]
    done = subprocess.run(command, cwd=ROOT, env=rasa_environment(settings), check=False)
    if done.returncode or not (fresh / target.name).exists():
        raise SettingsError("Rasa could not train the model; its message is above. `rasa data validate` finds mistakes")
    (fresh / target.name).replace(target)
    mark.write_text(now)
    shutil.rmtree(fresh)
    return True


def rasa_environment(settings: Settings) -> dict[str, str]:
    """Return the environment Rasa runs in: no telemetry; warnings only, for its debug log holds words."""
    return os.environ | {
        "RASA_TELEMETRY_ENABLED": "false",
        "LOG_LEVEL": "WARNING",
        "LOG_LEVEL_LIBRARIES": "ERROR",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
        "PYTHONWARNINGS": "ignore",
        "MPLCONFIGDIR": str(settings.home / "matplotlib"),
        "HANDRAIL_ACTIONS_URL": settings.actions,
    }


def serve_rasa(settings: Settings) -> None:
    """Become the Rasa server: on HANDRAIL_PRIVATE_HOST, no HTTP API, one channel, the secret from the key files."""
    if not model_path(settings).exists():
        raise SettingsError("there is no trained model; `handrail train` makes it")
    secret = settings.rasa_secret or read_keys(settings.home / "keys").rasa
    environment = rasa_environment(settings) | {"HANDRAIL_RASA_SECRET": secret}
    command = [str(RASA_BIN), "run", "--model", str(model_path(settings)), "--interface", settings.private_host]
    command += ["--port", str(settings.rasa_port), "--endpoints", "endpoints.yml", "--credentials", "credentials.yml"]
    os.chdir(ROOT)
    wait_for_desk(settings)
    os.execve(RASA_BIN, command, environment)  # noqa: S606


def serve_actions(settings: Settings) -> None:
    """Run the action server, in this one process so that a kill leaves nothing behind."""
    wait_for_desk(settings)
    from rasa_sdk.endpoint import create_app
    from rasa_sdk.executor import ActionExecutor

    executor = ActionExecutor()
    executor.register_package("actions")
    create_app(executor, cors_origins=None).run(
        host=settings.private_host, port=settings.actions_port, single_process=True, access_log=False, motd=False
    )


def wait_for_desk(settings: Settings) -> None:
    """Let this machine's desk start first: it protects alone, and imports of Rasa's size slow it down threefold."""
    if settings.private_host != "127.0.0.1":
        return  # the desk is elsewhere
    end = time.monotonic() + DESK_FIRST_SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((settings.host, settings.port)) == 0:
                return
        time.sleep(0.1)


def serve_desk(settings: Settings) -> None:
    """Run the desk under uvicorn in this process."""
    _serve(settings, "create_app")


def serve_console(settings: Settings) -> None:
    """Run the counselors' console alone under uvicorn in this process."""
    _serve(settings, "create_console_app")


def _serve(settings: Settings, application: str) -> None:
    import uvicorn

    from bot.production import require_production

    require_production(settings)

    from bot import app
    from bot.desk.logs import start_logging

    start_logging(settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    _allow_many_streams()
    made = getattr(app, application)(settings)
    # A full collection stopped the event loop for 0.3 s with 1,000 streams open, and freed nearly nothing: what is
    # there from the start is not walked again, and the rest is less often.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    uvicorn.run(
        made,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=2,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
    )


def _allow_many_streams() -> None:
    """Raise this process's limit of open files to what the system lets it: each stream and connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def serve_all(settings: Settings, say: Say) -> int:
    """Run desk, Rasa and actions under supervisor until interrupted; return its exit status."""
    for name, port in (
        ("PORT", settings.port),
        ("RASA_PORT", settings.rasa_port),
        ("ACTIONS_PORT", settings.actions_port),
    ):
        check_port(name, port)
    if len(os.fsencode(settings.home / "supervisor.sock")) > LONGEST_SOCKET_PATH:
        raise SettingsError("the path of HANDRAIL_HOME is too long for a socket; use a folder with a shorter path")
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = os.environ | {
        "HANDRAIL_HOME": str(settings.home),
        "HANDRAIL_COMMAND": str(Path(sys.executable).parent / "handrail"),
    }
    command = [str(Path(sys.executable).parent / "supervisord"), "--nodaemon", "--silent", "-c", str(SUPERVISOR_CONFIG)]
    supervisor = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    _wake(settings.home / "supervisor.sock")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.terminate())
    address = f"http://{settings.host}:{settings.port}"
    announced = {"desk": False, "rasa": False}
    while supervisor.poll() is None:
        if not all(announced.values()):
            _announce(address, announced, say)
        time.sleep(1.0 if announced["desk"] else 0.2)
    return 0 if supervisor.returncode in (0, -signal.SIGTERM) else supervisor.returncode


def _wake(address: Path) -> None:
    """Touch supervisor's socket: before its first look at the processes to start it waits a second for any event."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(address)) == 0:
                return
        time.sleep(0.02)


def _announce(address: str, announced: dict[str, bool], say: Say) -> None:
    import httpx

    try:
        parts = httpx.get(f"{address}/readyz", timeout=2, trust_env=False).json()["parts"]
    except (httpx.HTTPError, ValueError, KeyError):
        return
    if not announced["desk"]:
        announced["desk"] = True
        say(f"The desk is up, crisis cards work:  {address}/        demo page with the widget")
        say(f"                                    {address}/help    hotlines, works without anything else")
        say(f"                                    {address}/console for counselors")
        say(f"                                    {address}/readyz  what is up")
    if parts["rasa"] == "ok":
        announced["rasa"] = True
        say("Rasa is awake: the whole conversation works. Ctrl-C stops everything.")


def check_port(name: str, port: int) -> None:
    """Raise SettingsError naming the variable when something already listens on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SettingsError(
                f"port {port} is in use; stop what runs there or set HANDRAIL_{name} to a free one"
            ) from None
