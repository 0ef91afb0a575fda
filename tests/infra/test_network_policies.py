"""Which pod reaches which end, by the rendered network policies.

No CNI runs here, so nothing enforces them: an evaluator of our own applies Kubernetes's rules.
A pod has an address of the VPC, as AWS's CNI gives it. So a block of addresses matches pods too.
"""

import ipaddress
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.infra.helm import FOLDER, GIVEN, helm, of_kind, pods, render

pytestmark = pytest.mark.infra

Policy = dict[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection: an address, and the pod that has it."""

    address: str
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()


def pod(program: str, namespace: str = "vigil") -> End:
    """Return a pod of a program, as the chart labels it."""
    labels = (
        ("app.kubernetes.io/name", "vigil"),
        ("app.kubernetes.io/instance", "vigil"),
        ("app.kubernetes.io/component", program),
    )
    return End("10.64.32.7", namespace, labels)


NAMES, NAMES_OF_NODE = End("10.64.32.8", "kube-system"), End("172.20.0.10")
PROMETHEUS = End("10.64.32.9", "monitoring")
FOREIGN = End("10.64.32.10", "vigil", (("app", "foreign"),))
OTHER_NAMESPACE = End("10.64.32.11", "default")
BALANCER = End("10.64.0.5")
DATABASE, ENDPOINT = End("10.64.240.5"), End("10.64.240.6")
S3 = End("52.216.1.2")
IDENTITY, METADATA = End("169.254.170.23"), End("169.254.169.254")
INTERNET = End("203.0.113.9")
PROGRAMS = (
    "relay", "assembler", "healer", "joiner", "indexer", "web", "link", "reconciler", "retention",
    "audit", "migration", "operator",
)  # fmt: skip


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Return whether a label selector matches."""
    for wanted in selector.get("matchExpressions", []):
        assert wanted["operator"] == "In", "the only one that the chart uses"
        if labels.get(wanted["key"]) not in wanted["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def is_peer(peer: dict[str, Any], end: End, namespace: str) -> bool:
    """Return whether one entry of `from` or `to` means this end. `namespace`: of the policy."""
    if "ipBlock" in peer:
        assert peer["ipBlock"].keys() == {"cidr"}
        network = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return ipaddress.ip_address(end.address) in network
    if not end.namespace:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": end.namespace}):
            return False
    elif end.namespace != namespace:
        return False
    return selects(peer.get("podSelector", {}), dict(end.labels))


def is_open(
    policies: list[Policy], side: str, own: End, other: End, port: int, protocol: str
) -> bool:
    """Return whether the policies of one end permit a connection; an end without any does."""
    chosen = [
        p["spec"] for p in policies
        if own.namespace == "vigil" and side in p["spec"]["policyTypes"]
        and selects(p["spec"]["podSelector"], dict(own.labels))
    ]  # fmt: skip
    rules = [rule for spec in chosen for rule in spec.get(side.lower(), [])]
    peers = "from" if side == "Ingress" else "to"
    return not chosen or any(
        (peers not in rule or any(is_peer(each, other, "vigil") for each in rule[peers]))
        and {"protocol": protocol, "port": port} in rule["ports"]
        for rule in rules
    )


def reaches(policies: list[Policy], one: End, other: End, port: int, protocol: str = "TCP") -> bool:
    """Return whether a connection passes the policies of both ends."""
    return is_open(policies, "Egress", one, other, port, protocol) and is_open(
        policies, "Ingress", other, one, port, protocol
    )


@pytest.fixture(scope="module", params=["dev", "production"])
def policies(request: pytest.FixtureRequest) -> list[Policy]:
    return of_kind(render("vigil", *GIVEN, values=request.param), "NetworkPolicy")


def test_all_programs_are_asked_below() -> None:
    found = {name.removeprefix("vigil-") for name in pods(render("vigil", *GIVEN, values="dev"))}
    assert found == set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_reaches_its_data_and_nothing_else(
    policies: list[Policy], program: str
) -> None:
    one = pod(program)
    for other, port in (
        (DATABASE, 5432), (DATABASE, 9096), (ENDPOINT, 443), (S3, 443), (IDENTITY, 80), (NAMES, 53),
    ):  # fmt: skip
        assert reaches(policies, one, other, port), (other, port)
    for names in (NAMES, NAMES_OF_NODE):
        assert reaches(policies, one, names, 53, "UDP")
    assert not reaches(policies, one, INTERNET, 53, "UDP")
    for other, port in (
        (INTERNET, 443), (S3, 80), (METADATA, 80), (DATABASE, 22), (OTHER_NAMESPACE, 8080),
        (PROMETHEUS, 9093), (FOREIGN, 80),
    ):  # fmt: skip
        assert not reaches(policies, one, other, port), (other, port)


@pytest.mark.parametrize("program", [p for p in PROGRAMS if p != "migration"])
def test_who_reaches_a_program(policies: list[Policy], program: str) -> None:
    served = pod(program)
    assert reaches(policies, PROMETHEUS, served, 9100)
    assert not reaches(policies, OTHER_NAMESPACE, served, 9100)
    assert not reaches(policies, FOREIGN, served, 9100)
    people, devices = program == "web", program == "link"
    assert reaches(policies, BALANCER, served, 8443) == (people or devices)
    assert reaches(policies, BALANCER, served, 8444) == (people or devices)
    assert not reaches(policies, INTERNET, served, 8443)
    assert not reaches(policies, BALANCER, served, 9100)
    for other in PROGRAMS:
        live = devices and other in ("web", "link")
        assert reaches(policies, pod(other), served, 8445) == live, other
        assert not reaches(policies, pod(other), served, 9100), other


@pytest.mark.parametrize("program", PROGRAMS)
def test_only_the_web_asks_prometheus(policies: list[Policy], program: str) -> None:
    assert reaches(policies, pod(program), PROMETHEUS, 9090) == (program == "web")


def test_a_foreign_pod_reaches_nothing(policies: list[Policy]) -> None:
    for other, port in ((NAMES, 53), (ENDPOINT, 443), (S3, 443), (INTERNET, 443)):
        assert not reaches(policies, FOREIGN, other, port)


def test_without_policies_all_is_open() -> None:
    """So the tests above can fail."""
    assert reaches([], FOREIGN, INTERNET, 443) and reaches([], INTERNET, pod("web"), 9100)


def test_more_rules_are_for_programs_only() -> None:
    rule = {
        "to": [{"ipBlock": {"cidr": f"{INTERNET.address}/32"}}],
        "ports": [{"protocol": "TCP", "port": 443}],
    }
    given = ("--set-json", f"networkPolicy.extraEgress={json.dumps([rule])}")
    found = of_kind(render("vigil", *GIVEN, *given, values="dev"), "NetworkPolicy")
    assert reaches(found, pod("web"), INTERNET, 443)
    assert not reaches(found, FOREIGN, INTERNET, 443)


def test_without_s3s_networks_nothing_is_rendered() -> None:
    error = helm(
        "template", "vigil", str(FOLDER / "vigil"), "--kube-version", "1.34.0",
        "-f", str(FOLDER / "vigil/values-dev.yaml"), *GIVEN,
        "--set-json", "networkPolicy.s3Networks=[]", ok=False,
    )  # fmt: skip
    assert "networkPolicy.s3Networks: name S3's networks" in error


def test_the_cluster_enforces_policies() -> None:
    """EKS Auto Mode does not by default: it needs this switch, and nodes that heed it."""
    given = ("--set", "cluster=vigil-dev", "--set", "nodeRole=vigil-dev-node")
    manifests = render("vigil-cluster", *given)
    [switch] = of_kind(manifests, "ConfigMap")
    assert (switch["metadata"]["namespace"], switch["metadata"]["name"]) == (
        "kube-system", "amazon-vpc-cni",
    )  # fmt: skip
    assert switch["data"] == {"enable-network-policy-controller": "true"}
    assert of_kind(manifests, "NodeClass")[0]["spec"]["networkPolicy"] == "DefaultAllow"
