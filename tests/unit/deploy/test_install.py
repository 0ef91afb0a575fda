"""What `make deploy` decides. Only cosign, helm, kubectl and aws are fakes."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from deploy.install import pods_not_running
from tests.unit.deploy.conftest import CLOUD, EDGE, OLD, pod, statement

pytestmark = pytest.mark.usefixtures("release")


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Ready)
    Thread(target=server.serve_forever, args=(0.01,)).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_signed_release_is_installed_by_digest_and_checked(programs, deploy, web, capsys):
    assert deploy(SMOKE_URL=f"{web}/readyz") == 0
    (upgrade,) = programs.calls("helm upgrade")
    assert f"image.digest={CLOUD}" in upgrade
    assert "--values helm/vigil/values-staging.yaml" in upgrade
    assert "--atomic --wait" in upgrade
    assert programs.calls("helm rollback") == []
    assert "release 1.2.0 runs in staging" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"ENV": "prod"}, "There is no environment 'prod': name dev, staging, production."),
        ({"DIGEST": "sha256:" + "0" * 64}, "is unknown: release 1.2.0 has cloud sha256:aa"),
        ({"DIGEST": "v1.2.0"}, "v1.2.0 is unknown"),
        ({"DIGEST": EDGE}, "is the image edge-cpu; the chart runs the image cloud"),
        ({"DIGEST": ""}, "Set DIGEST"),
        ({"KEY": ""}, "Set KEY"),
        ({"BUILDER": "https://github.com/other/"}, "was built by https://github.com/example"),
    ],
)
def test_what_is_refused_is_not_installed(programs, deploy, capsys, given, says):
    assert deploy(**given) == 1
    assert says in capsys.readouterr().err
    assert programs.calls("helm upgrade") == []


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("cosign verify-blob", "release.json is not signed by our key"),
        ("cosign verify --key", "The image cloud, registry.example.com/vigil/cloud@sha256:aa"),
        ("--type cyclonedx", "has no cyclonedx"),
        ("--type slsaprovenance1", "has no slsaprovenance1"),
    ],
)
def test_what_is_not_signed_is_not_installed(programs, deploy, capsys, call, says):
    programs.answer(call, "no signatures found", code=1)
    assert deploy() == 1
    assert says in capsys.readouterr().err
    assert programs.calls("helm upgrade") == []


def test_an_image_of_another_commit_is_not_installed(programs, deploy, capsys):
    other = {"buildDefinition": {"resolvedDependencies": [{"digest": {"gitCommit": "e" * 40}}]}}
    programs.answer("verify-attestation", statement(other))
    assert deploy() == 1
    assert "is from commit eee" in capsys.readouterr().err


def test_a_changed_chart_is_not_installed(programs, deploy, capsys, tmp_path):
    (tmp_path / "helm/vigil/values-production.yaml").write_text("a: 2\n")
    assert deploy() == 1
    assert "is not the chart of release 1.2.0" in capsys.readouterr().err


def execution(status="Succeeded", stage="production-approval", name="run-1"):
    action = {
        "pipelineExecutionId": name,
        "stageName": stage,
        "actionName": "approve",
        "status": status,
    }
    return {"actionExecutionDetails": [action]}


def test_production_without_an_approval_is_refused(programs, deploy, capsys):
    assert deploy(ENV="production") == 1
    assert "No one approved this release for production" in capsys.readouterr().err
    assert programs.calls("aws") == programs.calls("helm upgrade") == []


@pytest.mark.parametrize(
    "found",
    [
        execution(status="InProgress"),
        execution(status="Failed"),
        execution(stage="staging-approval"),
        execution(name="run-2"),
        {"actionExecutionDetails": []},
    ],
)
def test_an_approval_of_something_else_does_not_count(programs, deploy, found):
    programs.answer("list-action-executions", found)
    assert deploy(ENV="production", VIGIL_PIPELINE_EXECUTION="run-1") == 1
    assert programs.calls("helm upgrade") == []


def test_an_approved_execution_is_installed_in_production(programs, deploy, web):
    programs.answer("list-action-executions", execution())
    credentials = {"AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c"}
    programs.answer("assume-role", {"Credentials": credentials})
    role = "arn:aws:iam::444444444444:role/vigil-pipeline-approvals"
    given = {"VIGIL_PIPELINE_EXECUTION": "run-1", "VIGIL_APPROVALS_ROLE": role}
    assert deploy(ENV="production", SMOKE_URL=f"{web}/readyz", **given) == 0
    assert len(programs.calls("helm upgrade")) == 1


def test_what_ran_in_production_before_can_come_back_without_a_new_approval(programs, deploy, web):
    """The pipeline rolls back in a new execution, which has no approval of its own."""
    programs.answer("helm get values", {"image": {"digest": CLOUD}})
    assert deploy(ENV="production", SMOKE_URL=f"{web}/readyz") == 0


def test_what_failed_in_production_does_not_count_as_approved(programs, deploy):
    programs.answer("helm history", [{"revision": 1, "status": "failed"}])
    programs.answer("helm get values", {"image": {"digest": CLOUD}})
    assert deploy(ENV="production") == 1


def test_a_release_that_does_not_become_ready_is_reported(programs, deploy, capsys):
    programs.answer("helm upgrade", "context deadline exceeded", code=1)
    assert deploy() == 1
    error = capsys.readouterr().err
    assert "Release 1.2.0 did not become ready. The revision before is back." in error
    assert "context deadline exceeded" in error


def test_a_failed_smoke_check_brings_the_revision_before_back(programs, deploy, web, capsys):
    assert deploy(SMOKE_URL=f"{web}/other") == 1
    (rollback,) = programs.calls("helm rollback")
    assert rollback.startswith("helm rollback vigil 1 --namespace vigil --wait")
    assert "does not answer 200 within 0 s. Revision 1 is back." in capsys.readouterr().err


def test_a_pod_with_the_old_image_fails_the_smoke_check(programs, deploy, web, capsys):
    programs.answer("kubectl get pods", {"items": [pod("vigil-web-0"), pod("vigil-web-1", OLD)]})
    assert deploy(SMOKE_URL=f"{web}/readyz") == 1
    assert "Not ready with the new image: vigil-web-1." in capsys.readouterr().err
    assert len(programs.calls("helm rollback")) == 1


def test_a_first_installation_that_fails_its_check_says_that_nothing_was_before(
    programs, deploy, web, capsys
):
    programs.answer("helm history", [{"revision": 1, "status": "deployed"}])
    assert deploy(SMOKE_URL=f"{web}/other") == 1
    assert "There is no revision before this one." in capsys.readouterr().err
    assert programs.calls("helm rollback") == []


def test_the_address_of_people_is_asked_where_none_is_named(programs, deploy):
    values = {"image": {"digest": OLD}, "ingress": {"host": "127.0.0.1:1"}}
    programs.answer("helm get values", values)
    assert deploy(SMOKE_URL="") == 1


def test_pods_of_jobs_and_ending_pods_are_passed_over():
    job = pod("migrate", OLD, ready=False, ownerReferences=[{"kind": "Job"}])
    ending = pod("vigil-web-9", OLD, deletionTimestamp="2026-01-01T00:00:00Z")
    assert pods_not_running(CLOUD, {"items": [job, ending, pod("vigil-web-0")]}) == []
    unready = pod("vigil-web-0", ready=False)
    assert pods_not_running(CLOUD, {"items": [unready]}) == ["vigil-web-0"]
    assert pods_not_running(CLOUD, {"items": []}) == ["no pod at all"]
