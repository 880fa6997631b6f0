"""The Dockerfile and the Kubernetes job, linted: no engine runs here."""

import json
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
from prefect.utilities.templating import apply_values
from prefect.workers.base import BaseJobConfiguration

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
TEMPLATE = json.loads((DEPLOYMENTS / "kubernetes.json").read_text(encoding="utf-8"))
OF_PREFECT = "('completions', 'parallelism' were unexpected)"
"""Prefect's worker refuses a template without them in the pod, where Kubernetes ignores them."""


@pytest.fixture
def manifest():
    """Return the job as the worker makes it of the template and its defaults."""
    variables = TEMPLATE["variables"]["properties"]
    values = {name: it["default"] for name, it in variables.items() if "default" in it}
    job = apply_values(TEMPLATE["job_configuration"]["job_manifest"], values)
    [container] = job["spec"]["template"]["spec"]["containers"]
    # As Prefect's worker does it.
    container["env"] = [{"name": name, "value": it} for name, it in container["env"].items()]
    return job


def test_the_dockerfile_has_no_findings():
    """By hadolint."""
    hadolint = Path(sys.executable).parent / "hadolint"
    found = subprocess.run(
        [hadolint, "--no-color", DEPLOYMENTS / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (found.returncode, found.stdout)


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_the_job_is_one_of_kubernetes(version, manifest):
    """Strictly: no field that Kubernetes does not know, but for the two that Prefect wants."""
    with pytest.raises(kubernetes_validate.ValidationError) as refused:
        kubernetes_validate.validate(manifest, version, strict=True)
    assert OF_PREFECT in refused.value.message

    for name in ("parallelism", "completions"):
        assert 1 == manifest["spec"]["template"]["spec"].pop(name)
    kubernetes_validate.validate(manifest, version, strict=True)


def test_every_placeholder_of_the_job_is_a_variable_and_the_other_way_round():
    """What the form of the work pool asks for is used, and what is used is asked for."""
    used = set()
    text = json.dumps(TEMPLATE["job_configuration"])
    for part in text.split("{{ ")[1:]:
        used.add(part.partition(" }}")[0])

    assert set(TEMPLATE["variables"]["properties"]) == used


def test_the_template_has_what_every_worker_needs():
    """Prefect's own fields of a job: command, environment, labels, name."""
    needed = {"command", "env", "labels", "name"}
    assert needed <= set(BaseJobConfiguration.model_fields)
    assert needed <= set(TEMPLATE["job_configuration"])
