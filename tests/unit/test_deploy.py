"""The deployment files hold what they promise: ordinary users, closed networks, and what the code needs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.processes import rasa_environment
from bot.settings import ROOT, Settings

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
PODS = ("desk", "console", "rasa", "actions")
NAME = "app.kubernetes.io/name"
SETTINGS = {f"HANDRAIL_{name.upper()}" for name in Settings.model_fields}


def documents() -> list[dict[str, Any]]:
    named = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert sorted(named) == sorted(path.name for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml")
    return [each for name in named for each in yaml.safe_load_all((KUBERNETES / name).read_text())]


DOCUMENTS = documents()


def found(kind: str, name: str = "") -> list[dict[str, Any]]:
    return [each for each in DOCUMENTS if each["kind"] == kind and name in ("", each["metadata"]["name"])]


def workload(name: str) -> dict[str, Any]:
    (only,) = [*found("Deployment", name), *found("StatefulSet", name)]
    return only


def containers(name: str) -> Iterator[dict[str, Any]]:
    spec = workload(name)["spec"]["template"]["spec"]
    yield from (*spec["containers"], *spec.get("initContainers", []))


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"])


def test_the_names_fit_together() -> None:
    assert {each["metadata"]["name"] for kind in ("Deployment", "StatefulSet") for each in found(kind)} == set(PODS)
    for name in PODS:
        of_it = workload(name)
        assert of_it["spec"]["selector"]["matchLabels"] == {NAME: name}
        assert of_it["spec"]["template"]["metadata"]["labels"][NAME] == name
        (service,) = found("Service", name)
        assert service["spec"]["selector"] == {NAME: name}
        volumes = {each["name"] for each in of_it["spec"]["template"]["spec"]["volumes"]}
        volumes |= {each["metadata"]["name"] for each in of_it["spec"].get("volumeClaimTemplates", [])}
        assert {mount["name"] for each in containers(name) for mount in each["volumeMounts"]} <= volumes
    for entrance in found("Ingress"):
        for path in entrance["spec"]["rules"][0]["http"]["paths"]:
            assert path["backend"]["service"]["name"] in ("desk", "console")


@pytest.mark.parametrize("name", PODS)
def test_pods_are_ordinary_users_on_read_only_file_systems(name: str) -> None:
    spec = workload(name)["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for each in containers(name):
        rights = each["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert set(each["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in each["resources"]["limits"]


@pytest.mark.parametrize("name", PODS)
def test_probes_keep_a_desk_in_service_while_its_parts_are_away(name: str) -> None:
    """/readyz is 503 while Rasa or the database is away; a desk taken out of service then would protect nobody."""
    (main,) = workload(name)["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert main[probe]["httpGet"]["path"] in ("/healthz", "/", "/health")
    if name in ("desk", "console"):
        assert main["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert "readyz" not in "".join(str(each.get("healthcheck")) for each in compose().values())


def test_there_are_two_of_everything_and_one_goes_at_a_time() -> None:
    for name in PODS:
        assert workload(name)["spec"]["replicas"] >= 2
        (budget,) = found("PodDisruptionBudget", name)
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["selector"]["matchLabels"] == {NAME: name}
    for scaled in found("HorizontalPodAutoscaler"):
        target = scaled["spec"]["scaleTargetRef"]
        assert workload(target["name"])["kind"] == target["kind"]
        assert scaled["spec"]["minReplicas"] >= 2
    assert {each["metadata"]["name"] for each in found("HorizontalPodAutoscaler")} == {"desk", "console", "actions"}


def reaches(target: str) -> set[str]:
    """Return which pods the network lets in to `target`, by what both sides say."""
    (policy,) = found("NetworkPolicy", target)
    allowed = {
        peer["podSelector"]["matchLabels"][NAME]
        for rule in policy["spec"]["ingress"]
        for peer in rule["from"]
        if "podSelector" in peer
    }
    outward = set()
    for name in PODS:
        (theirs,) = found("NetworkPolicy", name)
        for rule in theirs["spec"]["egress"]:
            for peer in rule.get("to", []):
                if peer.get("podSelector", {}).get("matchLabels", {}).get(NAME) == target:
                    outward.add(name)
    assert outward == allowed, f"the two sides of {target} differ"
    return allowed


def test_only_the_desk_reaches_rasa_and_only_rasa_the_actions() -> None:
    assert reaches("rasa") == {"desk"}
    assert reaches("actions") == {"rasa"}
    (nothing,) = found("NetworkPolicy", "nothing")
    assert nothing["spec"]["podSelector"] == {}
    assert (nothing["spec"]["ingress"], nothing["spec"]["egress"]) == ([], [])
    for name in ("rasa", "actions"):
        (policy,) = found("NetworkPolicy", name)
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert ports <= {53, 5055}, f"{name} reaches more than it needs"
    for name, service in compose().items():
        networks = set(service["networks"])
        assert ("rasa" in networks) == name.startswith(("desk", "rasa")), name
        assert ("actions" in networks) == name.startswith(("rasa", "actions")), name
    internal = yaml.safe_load((DEPLOY / "compose.yml").read_text())["networks"]
    assert all(internal[name]["internal"] for name in ("rasa", "actions", "record"))


def test_every_setting_the_files_name_exists() -> None:
    text = "".join(path.read_text() for path in [*KUBERNETES.glob("*.yaml"), *DEPLOY.glob("compose.yml")])
    text += (DEPLOY / "Dockerfile").read_text()
    assert set(re.findall(r"HANDRAIL_[A-Z_]+[A-Z]", text)) <= SETTINGS
    (settings,) = found("ConfigMap")
    values = {name.removeprefix("HANDRAIL_").lower(): value for name, value in settings["data"].items()}
    read = Settings(**values)
    assert len(read.rasas) == workload("rasa")["spec"]["replicas"]
    assert read.console_apart
    assert "*" not in read.trusted_proxies


def test_no_secret_is_in_the_files() -> None:
    assert not found("Secret")
    for path in [*KUBERNETES.glob("*.yaml"), DEPLOY / "compose.yml", DEPLOY / "Dockerfile"]:
        for name, value in re.findall(r"(\w*(?:SECRET|PASSWORD|TOKEN)\w*)\s*[:=]\s*([^\s,}]+)", path.read_text()):
            assert value.startswith(("${", "{secretKeyRef")) or name == "POSTGRES_PASSWORD", f"{path.name}: {name}"


def test_what_reaches_the_flag_owner_is_passed_on() -> None:
    """Without it production does not start (bot/production.py)."""
    serving = {name: each for name, each in compose().items() if name.startswith(("desk", "console"))}
    assert all(each["env_file"] == [".env"] for each in serving.values())
    settings = yaml.safe_load((KUBERNETES / "settings.yaml").read_text())["data"]
    assert {"HANDRAIL_OWNER_EMAIL", "HANDRAIL_SMTP_HOST", "HANDRAIL_SMTP_FROM"} <= set(settings)
    for name in ("desk", "console"):
        assert "secretRef: {name: handrail-more, optional: true}" in (KUBERNETES / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", sorted(compose()))
def test_compose_runs_ordinary_users_with_limits(name: str) -> None:
    service = compose()[name]
    assert service["read_only"] is True
    assert service["user"].partition(":")[0] not in ("", "0", "root")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["healthcheck"]["test"]
    assert ("ports" in service) == (name == "nginx"), "only nginx is reached from outside"


def test_the_images_hold_what_the_code_reads() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    sources = {word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]}
    for source in sources:
        assert (ROOT / source).exists(), source
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    for source in sources:
        assert any(
            Path(source).match(line.removeprefix("!")) or source.startswith(line.removeprefix("!"))
            for line in ignored
            if line.startswith("!")
        ), source
    assert text.count("USER 10001:10001") == 2
    stock = dict(re.findall(r"\b([A-Z_]+)=(\S+)", text))
    for name, value in rasa_environment(Settings()).items():
        if name in ("RASA_TELEMETRY_ENABLED", "LOG_LEVEL", "LOG_LEVEL_LIBRARIES", "TF_CPP_MIN_LOG_LEVEL"):
            assert stock[name] == value
    assert "--enable-api" not in text


def test_nginx_buffers_no_stream_and_lets_the_desk_refuse() -> None:
    text = re.sub(r"#.*", "", (DEPLOY / "nginx" / "handrail.conf").read_text())
    places = dict(re.findall(r"location ([^{]+?)\s*\{([^}]*)\}", text))
    streams = [body for name, body in places.items() if "events" in name]
    assert len(streams) == 2
    assert all("proxy_buffering off" in body and "proxy_read_timeout 1h" in body for body in streams)
    assert "client_max_body_size 1m" in text
    assert Settings().max_body_bytes < 1024 * 1024
    assert "client_header_timeout" in text
    assert "proxy_set_header X-Forwarded-For $remote_addr" in text
    assert all("return 404" in places[f"= {inside}"] for inside in ("/metrics", "/readyz"))


def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    """nginx itself reads deploy/nginx, with names, certificate and folders of this machine put in."""
    from tests.conftest import absent
    from tests.replicas import NGINX

    if not Path(NGINX).exists():
        absent("no nginx: apt-get install nginx-light")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run(
        [*command, "-keyout", tmp_path / "tls.key", "-out", tmp_path / "tls.crt"], check=True, capture_output=True
    )
    text = (DEPLOY / "nginx" / "nginx.conf").read_text()
    text = re.sub(r"server (desk|console)-(\d):8080", r"server 127.0.0.1:9\2", text)
    text = re.sub(r"(?<=[ ])/tmp/", f"{tmp_path}/", text).replace("/etc/nginx/tls", str(tmp_path))
    text = text.replace("/etc/nginx/handrail.conf", str(DEPLOY / "nginx" / "handrail.conf"))
    (tmp_path / "nginx.conf").write_text(text)
    read = subprocess.run([NGINX, "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
