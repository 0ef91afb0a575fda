"""The charts, rendered for each environment: Kubernetes's schemas and our own rules hold."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings import Settings
from tests.infra.helm import DIGEST, ENVIRONMENTS, FOLDER, GIVEN, helm, of_kind, pods, render

pytestmark = pytest.mark.infra

ROOT = FOLDER.parent
VERSIONS = ("1.34", "1.35")
"""Kubernetes of today (Terraform's module eks) and the next one."""
CUSTOM = {
    "Certificate", "ClusterIssuer", "ClusterSecretStore", "ExternalSecret", "IngressClassParams",
    "NodeClass", "NodePool", "PrometheusRule", "ScaledObject", "ServiceMonitor",
    "TriggerAuthentication",
}  # fmt: skip
"""Kinds of other projects: Kubernetes's schemas do not know them."""


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def rendered(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The chart of one environment."""
    return render("vigil", *GIVEN, values=request.param)


@pytest.fixture(scope="module")
def production() -> list[dict[str, Any]]:
    """The chart of production."""
    return render("vigil", *GIVEN, values="production")


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(rendered: list[dict[str, Any]], version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for manifest in rendered:
        if manifest["kind"] not in CUSTOM:
            validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_the_clusters_chart(version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    manifests = render("vigil-cluster", "--set", "cluster=vigil-dev", "--set", "nodeRole=role")
    assert {m["kind"] for m in manifests} >= {"Namespace", "NodePool", "NodeClass"}
    for manifest in of_kind(manifests, "Namespace"):
        validate.validate(manifest, version, strict=True)
        if manifest["metadata"]["name"] != "monitoring":
            labels = manifest["metadata"]["labels"]
            assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_gpu_nodes_are_for_gpu_pods_only() -> None:
    manifests = render("vigil-cluster", "--set", "cluster=vigil-dev", "--set", "nodeRole=role")
    pools = {m["metadata"]["name"]: m["spec"] for m in of_kind(manifests, "NodePool")}
    gpu = pools["vigil-gpu"]
    assert gpu["template"]["spec"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    ]
    assert gpu["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert all("cpu" in pool["limits"] for pool in pools.values())


REPLAY = (
    "--set", "inference.image.repository=registry.example.com/vigil/cloud",
    "--set", f"inference.image.digest={DIGEST}",
    "--set-json", 'inference.replays={"people": ["--model", "/models/people.yaml"]}',
)  # fmt: skip


def test_only_replays_use_gpus() -> None:
    manifests = render("vigil", *GIVEN, *REPLAY, values="production")
    on_gpu = {}
    for name, pod in pods(manifests).items():
        limits = pod["containers"][0]["resources"]["limits"]
        assert ("nvidia.com/gpu" in limits) == ("tolerations" in pod), name
        if "tolerations" in pod:
            on_gpu[name] = pod
    (pod,) = on_gpu.values()
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
    ]
    assert pod["nodeSelector"] == {"vigil.io/pool": "gpu"}
    assert pod["serviceAccountName"] == "vigil-inference"
    test_all_pods_are_restricted(manifests)
    other = render("vigil", *GIVEN, *REPLAY, "--set-json",
                   'inference.replays={"people": ["--model", "/models/two.yaml"]}',
                   values="production")  # fmt: skip
    assert not on_gpu.keys() & pods(other).keys(), "a job cannot be changed: it needs another name"


def test_what_a_cluster_has_once_is_in_its_own_chart() -> None:
    """So two releases do not clash, and what the programs name exists."""
    once = render("vigil-cluster", "--set", "cluster=vigil-dev", "--set", "nodeRole=role")
    names = {(m["kind"], m["metadata"]["name"]) for m in once}
    for environment in ("dev", "staging", "production"):
        manifests = render("vigil", *GIVEN, values=environment)
        assert not of_kind(manifests, "PriorityClass", "ClusterIssuer", "Namespace", "IngressClass")
        for pod in pods(manifests).values():
            if "priorityClassName" in pod:
                assert ("PriorityClass", pod["priorityClassName"]) in names
        for each in of_kind(manifests, "Certificate"):
            assert ("ClusterIssuer", each["spec"]["issuerRef"]["name"]) in names
        for each in of_kind(manifests, "ExternalSecret"):
            assert ("ClusterSecretStore", each["spec"]["secretStoreRef"]["name"]) in names
        for each in of_kind(manifests, "Ingress"):
            assert ("IngressClass", each["spec"]["ingressClassName"]) in names


def test_each_program_gets_the_authority_of_the_database() -> None:
    given = ("--set", "database.ca=-----BEGIN CERTIFICATE-----")
    for name, pod in pods(render("vigil", *GIVEN, *given, values="production")).items():
        for container in pod["containers"] + pod.get("initContainers", []):
            env = {each["name"]: each.get("value") for each in container["env"]}
            mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
            assert env["VIGIL_DATABASE_CA_FILE"] == mounts["database-ca"] + "/ca.pem", name


def test_all_pods_are_restricted(rendered: list[dict[str, Any]]) -> None:
    for name, pod in pods(rendered).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"] + pod.get("initContainers", []):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"]["drop"] == ["ALL"], name
            assert container["image"].endswith("@" + DIGEST), name
            assert "memory" in container["resources"]["limits"], name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name


def test_each_setting_exists(rendered: list[dict[str, Any]]) -> None:
    """A name that no program reads would be a setting that silently does nothing."""
    known = {"VIGIL_" + name.upper() for name in Settings.model_fields}
    used = {name for m in of_kind(rendered, "ConfigMap") for name in m["data"]}
    for pod in pods(rendered).values():
        for container in pod["containers"] + pod.get("initContainers", []):
            used |= {each["name"] for each in container["env"]}
    assert {name for name in used if name.startswith("VIGIL_")} <= known


def test_the_programs_settings_are_valid(rendered: list[dict[str, Any]], tmp_path: Path) -> None:
    """What a pod gets is what the program accepts, except for secrets and certificates."""
    settings = next(
        m["data"]
        for m in of_kind(rendered, "ConfigMap")
        if m["metadata"]["name"].endswith("settings")
    )
    for pod in pods(rendered).values():
        for container in pod["containers"]:
            given = dict(settings)
            for each in container["env"]:
                value = str(each.get("value", "pod-0")).replace("$(POD_NAME)", "vigil-relay-0")
                if each["name"].endswith("_FILE"):
                    file = tmp_path / Path(value).name
                    file.write_text("postgresql://vigil@localhost/vigil"
                                    if "url" in file.name else "x" * 40)  # fmt: skip
                    value = str(file)
                given[each["name"]] = value
            Settings.model_validate(
                {k.removeprefix("VIGIL_").lower(): v for k, v in given.items() if k[:6] == "VIGIL_"}
            )


def test_each_command_exists(rendered: list[dict[str, Any]]) -> None:
    for name, pod in pods(rendered).items():
        for container in pod["containers"]:
            program, *rest = container["command"]
            if program == "sleep":
                assert name == "vigil-operator"
            elif program == "faust":
                module = rest[rest.index("-A") + 1].replace(".", "/")
                assert (ROOT / f"{module}.py").exists(), (
                    f"{name}: {shlex.join(container['command'])}"
                )
            else:
                assert program == "vigil"
                text = (ROOT / "cli" / f"{rest[0]}.py").read_text()
                assert len(rest) == 1 or rest[1].startswith("--") or f'"{rest[1]}"' in text, rest


def test_each_program_gets_only_its_secrets(production: list[dict[str, Any]]) -> None:
    made = {each["secretKey"] for each in of_kind(production, "ExternalSecret")[0]["spec"]["data"]}
    got = {}
    for name, pod in pods(production).items():
        volume = next(v["secret"] for v in pod["volumes"] if v["name"] == "secrets")
        got[name.removeprefix("vigil-")] = {item["key"] for item in volume["items"]}
        mounted = {f"/run/secrets/vigil/{item['path']}" for item in volume["items"]}
        for container in pod["containers"]:
            named = {
                e["value"]
                for e in container["env"]
                if str(e.get("value", "")).startswith("/run/secrets/vigil/")
            }
            assert named <= mounted, name
    assert set().union(*got.values()) <= made
    assert {name for name, keys in got.items() if "device-ca-key" in keys} == {"link"}
    assert {name for name, keys in got.items() if "audit-key" in keys} == {"audit"}
    assert {name for name, keys in got.items() if "session-secret" in keys} == {"web", "link"}
    assert {name for name, keys in got.items() if "database-url" in keys} == {"migration"}
    assert got["relay"] == {"index-database-url", "kafka-password-relay"}


def test_the_audit_log_has_the_bucket_that_it_may_write(production: list[dict[str, Any]]) -> None:
    env = pods(production)["vigil-audit"]["containers"][0]["env"]
    bucket = [each["value"] for each in env if each["name"] == "VIGIL_S3_BUCKET"]
    assert bucket == ["vigil-production-audit-333333333333"]


def test_each_account_has_one_role_in_terraform(production: list[dict[str, Any]]) -> None:
    text = (ROOT / "terraform/modules/workload-iam/main.tf").read_text()
    roles = set(
        re.findall(r"^    ([a-z-]+)\s+= \[local", text.partition("  accounts = {")[2], re.MULTILINE)
    )
    accounts = {
        m["metadata"]["name"].removeprefix("vigil-") for m in of_kind(production, "ServiceAccount")
    }
    # The migration has no rights in AWS. The others belong to other charts, or to a person's job.
    assert accounts - roles == {"migration"}
    assert roles - accounts == {"inference", "external-secrets", "keda"}


def test_who_owns_tables_keeps_its_name_and_its_disk(production: list[dict[str, Any]]) -> None:
    stateful = {m["metadata"]["name"]: m["spec"] for m in of_kind(production, "StatefulSet")}
    assert set(stateful) == {
        "vigil-assembler", "vigil-healer", "vigil-indexer", "vigil-joiner", "vigil-link",
    }  # fmt: skip
    with_disk = {name for name, spec in stateful.items() if "volumeClaimTemplates" in spec}
    assert with_disk == {"vigil-assembler"}
    for spec in stateful.values():
        instance = [e for e in spec["template"]["spec"]["containers"][0]["env"]
                    if e["name"] == "VIGIL_WORKER_INSTANCE"]  # fmt: skip
        assert instance[0]["value"] == "$(POD_NAME)"


def test_tables_are_never_scaled(production: list[dict[str, Any]]) -> None:
    scaled = {
        m["spec"]["scaleTargetRef"]["name"]: m["spec"] for m in of_kind(production, "ScaledObject")
    }
    assert set(scaled) == {"vigil-relay", "vigil-joiner", "vigil-indexer"}
    assert scaled["vigil-joiner"]["maxReplicaCount"] == 64
    sets = {
        m["metadata"]["name"]: m["spec"] for m in of_kind(production, "StatefulSet", "Deployment")
    }
    assert all("replicas" not in sets[name] for name in scaled)


def test_pods_have_the_time_to_stop(rendered: list[dict[str, Any]]) -> None:
    """More than a commit, and than the group needs to notice."""
    fields = Settings.model_fields
    least = 2 * (fields["session_timeout_s"].default + fields["commit_interval_ms"].default / 1000)
    for name, pod in pods(rendered).items():
        if name not in ("vigil-migration", "vigil-operator"):
            container = pod["containers"][0]
            stop = container.get("lifecycle", {}).get("preStop", {})
            waits = stop.get("sleep", {}).get("seconds", 0)
            assert pod["terminationGracePeriodSeconds"] - waits >= least, name
            assert container["livenessProbe"]["httpGet"]["scheme"] == "HTTPS", name
            startup = container["startupProbe"]
            assert startup["failureThreshold"] * startup["periodSeconds"] >= 180, name


def test_nothing_reaches_anything_by_default(production: list[dict[str, Any]]) -> None:
    policies = {m["metadata"]["name"]: m["spec"] for m in of_kind(production, "NetworkPolicy")}
    deny = policies["vigil-default-deny"]
    assert deny["podSelector"] == {} and set(deny["policyTypes"]) == {"Ingress", "Egress"}
    opened = {p["port"] for spec in policies.values() for rule in spec.get("ingress", [])
              for p in rule["ports"]}  # fmt: skip
    listening = {p["containerPort"] for pod in pods(production).values()
                 for c in pod["containers"] for p in c.get("ports", [])}  # fmt: skip
    assert opened == listening


def test_no_hop_is_in_clear(production: list[dict[str, Any]]) -> None:
    web = of_kind(production, "Ingress")[0]["metadata"]["annotations"]
    assert web["alb.ingress.kubernetes.io/backend-protocol"] == "HTTPS"
    assert web["alb.ingress.kubernetes.io/wafv2-acl-arn"]
    monitors = of_kind(production, "ServiceMonitor")
    assert all(e["scheme"] == "https" for m in monitors for e in m["spec"]["endpoints"])
    settings = next(
        m["data"]
        for m in of_kind(production, "ConfigMap")
        if m["metadata"]["name"] == "vigil-settings"
    )
    assert settings["VIGIL_KAFKA_SECURITY"] == "SASL_SSL"
    assert settings["VIGIL_DATABASE_TLS"] == "verify-full"
    names = of_kind(production, "Certificate")[0]["spec"]["dnsNames"]
    served = {m["spec"]["endpoints"][0]["tlsConfig"]["serverName"] for m in monitors}
    assert served <= set(names)


def test_rules_and_dashboard_are_those_of_ops(production: list[dict[str, Any]]) -> None:
    rules = of_kind(production, "PrometheusRule")[0]["spec"]
    files = [ROOT / "ops/prometheus" / name for name in ("alerts.yaml", "slo.yaml")]
    assert rules["groups"] == [
        group for file in files for group in yaml.safe_load(file.read_text())["groups"]
    ]
    boards = [m for m in of_kind(production, "ConfigMap") if "vigil.json" in m["data"]]
    for name in ("vigil.json", "service-levels.json"):
        assert boards[0]["data"][name] == (ROOT / "ops/grafana" / name).read_text()


def test_alerts_name_the_runbook_where_people_read_it() -> None:
    given = ("--set", "monitoring.documents=https://git.example.com/vigil/blob/main/")
    rules = of_kind(render("vigil", *GIVEN, *given, values="production"), "PrometheusRule")[0]
    [url] = [
        rule["annotations"]["runbook_url"]
        for group in rules["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "VigilDown"
    ]
    assert url == "https://git.example.com/vigil/blob/main/docs/how-to/runbook.md#vigildown"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--set", "imagee.digest=x"), "additional properties 'imagee' not allowed"),
        (("--set", "programs.relay.replica=3"), "additional properties 'replica' not allowed"),
        (("--set", "programs.relay.replicas=0"), "minimum"),
        (("--set", "image.digest=latest"), "does not match pattern"),
        (("--set", "image.digest="), "name the digest of the image"),
        (("--set", "settings.VIGIL_SESSION_SECRET=x"), "is a secret: put it into the secret"),
        (("--set", "settings.DEBUG=1"), "does not match pattern"),
        (("--set", "ingress.host="), "name the address of people"),
        (("--set", "database.ca=/etc/ca.pem"), "does not match pattern"),
        (("--set-json", 'inference.replays={"a": ["--model", "m"]}'), "inference.image.repository"),
        (("--set", "autoscaling.cooldownSeconds=5"), "minimum"),
    ],
)
def test_wrong_values_are_refused_with_a_reason(arguments: tuple[str, ...], reason: str) -> None:
    values = str(FOLDER / "vigil/values-dev.yaml")
    error = helm(
        "template", "vigil", str(FOLDER / "vigil"), "--kube-version", "1.34.0", "-f", values,
        *GIVEN, *arguments, ok=False,
    )  # fmt: skip
    assert reason in error


def test_a_misspelt_key_of_the_clusters_chart_is_refused() -> None:
    given = ("template", "vigil-cluster", str(FOLDER / "vigil-cluster"))
    needed = ("--set", "cluster=vigil-dev", "--set", "nodeRole=node")
    error = helm(*given, *needed, "--set", "images.repository={a/b}", ok=False)
    assert "additional properties 'repository' not allowed" in error
    error = helm(*given, *needed, "--set", "images.repositories={a/b:v1}", ok=False)
    assert "does not match pattern" in error


def test_the_charts_are_clean() -> None:
    helm("lint", str(FOLDER / "vigil"), "-f", str(FOLDER / "vigil/values-dev.yaml"),
         "--kube-version", "1.34.0", "--strict", *GIVEN)  # fmt: skip
