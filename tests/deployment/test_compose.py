"""The compose file against the Dockerfile, the settings and the installed commands, without Docker."""

import json
import re
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import Settings
from tests.deployments import WORKER

_ROOT = Path(__file__).parents[2]
_PROJECT_SERVICES = ("migrate", "api", "worker", "worker-gpu")
_COMPOSE = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]


def _stages() -> dict[str, str]:
    """The Dockerfile's stages by name, each with its instructions."""
    text = (_ROOT / "Dockerfile").read_text()
    parts = re.split(r"^FROM \S+ AS (\S+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _volumes(service: str) -> set[str]:
    return {volume.split(":")[0] for volume in _SERVICES[service].get("volumes", [])}


def test_the_projects_own_services_are_those_that_are_built():
    assert {name for name, service in _SERVICES.items() if "build" in service} == set(_PROJECT_SERVICES)


@pytest.mark.parametrize("name", _SERVICES)
def test_ports_are_published_on_loopback_only(name):
    service = _SERVICES[name]
    assert "network_mode" not in service
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_servers_are_not_published(name):
    assert "ports" not in _SERVICES[name]


@pytest.mark.parametrize("name", _PROJECT_SERVICES)
def test_build_targets_are_stages_of_the_dockerfile(name):
    assert _SERVICES[name]["build"]["target"] in _stages()


@pytest.mark.parametrize("name", ["api", "worker", "worker-gpu"])
def test_an_image_alone_runs_the_command_that_compose_gives_it(name):
    (command,) = re.findall(r"^CMD (\[.*\])$", _stages()[name], flags=re.MULTILINE)
    assert json.loads(command) == _SERVICES[name]["command"]


@pytest.mark.parametrize("name", _PROJECT_SERVICES)
def test_commands_start_with_an_installed_executable(name):
    assert (Path(sysconfig.get_path("scripts")) / _SERVICES[name]["command"][0]).is_file()


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_workers_run_as_the_page_says_and_as_they_are_tested(name):
    command = _SERVICES[name]["command"]
    assert command == WORKER
    assert " ".join(command) in (_ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("name", _PROJECT_SERVICES)
def test_environment_variables_are_settings(name):
    variables = _SERVICES[name]["environment"]
    assert set(variables) <= {field.upper() for field in Settings.model_fields}


@pytest.mark.parametrize("name", _PROJECT_SERVICES)
def test_the_service_runs_distributed(name):
    assert {"DATABASE_URL", "REDIS_URL"} <= set(_SERVICES[name]["environment"])


@pytest.mark.parametrize("name", _SERVICES)
def test_dependencies_exist_and_can_meet_their_condition(name):
    for dependency, wanted in _SERVICES[name].get("depends_on", {}).items():
        service = _SERVICES[dependency]
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in service or "HEALTHCHECK" in _stages()[service["build"]["target"]]
        else:
            assert wanted["condition"] == "service_completed_successfully"
            assert service["restart"] == "no"


def test_everybody_waits_for_the_migrations():
    for name in set(_PROJECT_SERVICES) - {"migrate"}:
        assert _SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_only_the_servers_keep_volumes():
    assert {name for name in _SERVICES if _volumes(name)} == {"postgres", "redis"}
    assert _volumes("postgres") | _volumes("redis") == set(_COMPOSE["volumes"])
    assert not _volumes("postgres") & _volumes("redis")


def test_redis_persists_and_evicts_nothing():
    command = " ".join(_SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize(
    ("stage", "lock"), [("api", "api"), ("worker", "worker"), ("worker-gpu", "deep")], ids=lambda each: each
)
def test_the_exporter_of_traces_is_added_on_demand_and_changes_nothing_else(stage, lock):
    assert re.search(r"^ARG TRACING=$", _stages()["base"], flags=re.MULTILINE)
    instructions = _stages()[f"{stage}-environment"]
    assert f"-r /build/{lock}.txt" in instructions
    (install,) = re.findall(r'^RUN if \[ -n "\$TRACING" \]; then (.*); fi$', instructions, flags=re.MULTILINE)
    assert install == "pip install --no-cache-dir --require-hashes -r /build/tracing.txt"
    ours, tracing = _pins(lock), _pins("tracing")
    assert {name: tracing[name] for name in ours.keys() & tracing} == {
        name: ours[name] for name in ours.keys() & tracing
    }
    assert {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"} <= tracing.keys() - ours.keys()


@pytest.mark.parametrize("name", _PROJECT_SERVICES)
def test_compose_asks_for_the_exporter_with_one_variable(name):
    assert _SERVICES[name]["build"]["args"] == {"TRACING": "${TRACING:-}"}
    assert _SERVICES[name]["environment"]["OTLP_ENDPOINT"] == "${OTLP_ENDPOINT:-}"


def _pins(lock: str) -> dict[str, str]:
    text = (_ROOT / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, flags=re.MULTILINE))
