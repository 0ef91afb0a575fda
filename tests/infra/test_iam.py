"""What programs and devices may do in AWS, action by action, by the policies of Terraform."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.iam import Request, allowed
from tests.infra.moto import moto_server, provider
from tests.infra.terraform import Terraform, copied

pytestmark = pytest.mark.infra

BUCKET = "arn:aws:s3:::vigil-dev-video-123456789012"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:vigil-dev-events"
DEVICE = "arn:aws:iam::123456789012:role/vigil-dev-device"
CONFIGURATION = """
module "storage" {
  source            = "../modules/storage"
  name              = "vigil-dev"
  suffix            = "123456789012"
  device_role_arn   = "arn:aws:iam::123456789012:role/vigil-dev-device"
  sites_endpoint_id = "vpce-1"
}

module "workload" {
  source                 = "../modules/workload-iam"
  name                   = "vigil-dev"
  video_bucket_arn       = "arn:aws:s3:::vigil-dev-video-123456789012"
  video_kms_key_arn      = "arn:aws:kms:us-east-1:123456789012:key/1"
  audit_bucket_arn       = "arn:aws:s3:::vigil-dev-audit-123456789012"
  events_queue_arn       = "arn:aws:sqs:us-east-1:123456789012:vigil-dev-events"
  dead_letters_queue_arn = "arn:aws:sqs:us-east-1:123456789012:vigil-dev-events-dead"
  queue_kms_key_arn      = "arn:aws:kms:us-east-1:123456789012:key/2"
  secret_arns            = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:a"]
  secret_kms_key_arns    = ["arn:aws:kms:us-east-1:123456789012:key/3"]
  device_ca_kms_key_arn  = "arn:aws:kms:us-east-1:123456789012:key/4"
}
"""


@pytest.fixture(scope="module")
def documents() -> Iterator[dict[str, Any]]:
    """Rendered policies by the address of their data source."""
    with moto_server() as address, copied(["modules"]) as work:
        root = work / "terraform/root"
        root.mkdir()
        (root / "main.tf").write_text(CONFIGURATION + provider(address))
        terraform = Terraform(root, work)
        terraform.run("init", "-input=false", "-no-color")
        plan = terraform.plan(Path(work))
        modules = plan["prior_state"]["values"]["root_module"]["child_modules"]
        yield {
            resource["address"]: json.loads(resource["values"]["json"])
            for module in modules
            for resource in module["resources"]
            if resource["type"] == "aws_iam_policy_document"
        }


def account(documents: dict[str, Any], name: str) -> dict[str, Any]:
    return documents[f'module.workload.data.aws_iam_policy_document.account["{name}"]']


FROM_BERLIN = {
    "aws:PrincipalTag/tenant": "acme",
    "aws:PrincipalTag/site": "berlin",
    "aws:SourceVpce": "vpce-1",
    "aws:SecureTransport": "true",
    "s3:TlsVersion": "1.3",
    "s3:if-none-match": "*",
}
OWN = f"{BUCKET}/fragments/acme/berlin/gate/01976a3b/00000001.ts"


@pytest.mark.parametrize(
    ("may", "action", "resource", "context"),
    [
        (True, "s3:PutObject", OWN, {}),
        (False, "s3:PutObject", OWN.replace("acme", "other"), {}),
        (False, "s3:PutObject", OWN.replace("berlin", "hamburg"), {}),
        (False, "s3:PutObject", OWN.replace("berlin/", "berlin-2/"), {}),
        (False, "s3:PutObject", OWN.replace("fragments", "chunks"), {}),
        (False, "s3:PutObject", OWN, {"s3:if-none-match": None}),
        (False, "s3:PutObject", OWN, {"aws:SourceVpce": "vpce-of-someone"}),
        (False, "s3:PutObject", OWN, {"aws:SecureTransport": "false"}),
        (False, "s3:PutObject", OWN, {"aws:PrincipalTag/tenant": None}),
        (False, "s3:GetObject", OWN, {}),
        (False, "s3:ListBucket", BUCKET, {}),
        (False, "s3:DeleteObject", OWN, {}),
        (False, "s3:DeleteObjectVersion", OWN, {}),
        (False, "s3:PutObjectAcl", OWN, {}),
        (False, "s3:PutBucketPolicy", BUCKET, {}),
        (True, "sqs:SendMessage", QUEUE, {}),
        (False, "sqs:ReceiveMessage", QUEUE, {}),
        (False, "sqs:DeleteMessage", QUEUE, {}),
        (False, "sqs:PurgeQueue", QUEUE, {}),
        (False, "sqs:SendMessage", QUEUE + "-dead", {}),
        (False, "sts:AssumeRole", DEVICE, {}),
    ],
)
def test_a_device_only_creates_its_sites_fragments_and_sends(
    documents: dict[str, Any],
    may: bool,
    action: str,
    resource: str,
    context: dict[str, str | None],
) -> None:
    merged = FROM_BERLIN | context
    request = Request(action, resource, {k: v for k, v in merged.items() if v is not None}, DEVICE)
    policies = [documents["module.workload.data.aws_iam_policy_document.device"]]
    if action.startswith("s3:"):
        policies.append(documents["module.storage.data.aws_iam_policy_document.video"])
    assert allowed(request, policies) is may


SECURE = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
FRAGMENT, CHUNK = OWN, f"{BUCKET}/chunks/acme/berlin/gate/2026/11/30/x.ts"
MATRIX = {
    # program: what it may do, of all the actions below
    "relay": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "depth", "dead depth", "send dead"},
    "assembler": {"read fragment", "read chunk"},
    "healer": {"read fragment", "read chunk", "list"},
    "joiner": {"read fragment", "read chunk", "list", "write chunk"},
    "indexer": {"read fragment", "read chunk"},
    "web": {"read fragment", "read chunk"},
    "reconciler": {"read fragment", "read chunk", "list"},
    "retention": {"read fragment", "read chunk", "list", "delete fragment", "delete chunk"},
    "inference": {"read fragment", "read chunk"},
    "audit": set(),
    "external-secrets": {"secret"},
    "keda": {"depth"},
}
ACTIONS = {
    "read fragment": ("s3:GetObject", FRAGMENT),
    "read chunk": ("s3:GetObject", CHUNK),
    "list": ("s3:ListBucket", BUCKET),
    "write fragment": ("s3:PutObject", FRAGMENT),
    "write chunk": ("s3:PutObject", CHUNK),
    "delete fragment": ("s3:DeleteObject", FRAGMENT),
    "delete chunk": ("s3:DeleteObjectVersion", CHUNK),
    "open the bucket": ("s3:PutBucketPolicy", BUCKET),
    "sqs:ReceiveMessage": ("sqs:ReceiveMessage", QUEUE),
    "sqs:DeleteMessage": ("sqs:DeleteMessage", QUEUE),
    "depth": ("sqs:GetQueueAttributes", QUEUE),
    "dead depth": ("sqs:GetQueueAttributes", QUEUE + "-dead"),
    "send": ("sqs:SendMessage", QUEUE),
    "send dead": ("sqs:SendMessage", QUEUE + "-dead"),
    "secret": (
        "secretsmanager:GetSecretValue",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:a",
    ),
    "become a device": ("sts:AssumeRole", DEVICE),
}


@pytest.mark.parametrize("name", MATRIX)
def test_each_program_does_what_it_must_and_nothing_else(
    documents: dict[str, Any], name: str
) -> None:
    policies = [account(documents, name)]
    may = {
        label
        for label, (action, resource) in ACTIONS.items()
        if allowed(Request(action, resource, SECURE), policies)
    }
    assert may == MATRIX[name]


@pytest.mark.parametrize(
    ("may", "action", "key", "algorithm"),
    [
        (True, "kms:Sign", "4", "ECDSA_SHA_256"),
        (False, "kms:Sign", "4", "ECDSA_SHA_512"),
        (False, "kms:Sign", "3", "ECDSA_SHA_256"),
        (True, "kms:GetPublicKey", "4", "ECDSA_SHA_256"),
        (False, "kms:ScheduleKeyDeletion", "4", "ECDSA_SHA_256"),
        (False, "kms:PutKeyPolicy", "4", "ECDSA_SHA_256"),
    ],
)
def test_the_devices_address_signs_with_the_device_cas_key(
    documents: dict[str, Any], may: bool, action: str, key: str, algorithm: str
) -> None:
    resource = f"arn:aws:kms:us-east-1:123456789012:key/{key}"
    request = Request(action, resource, {"kms:SigningAlgorithm": algorithm})
    document = documents["module.workload.data.aws_iam_policy_document.device_ca[0]"]
    assert allowed(request, [document]) is may


def test_plain_http_is_refused_for_everybody(documents: dict[str, Any]) -> None:
    for name in ("video", 'tls_only["audit"]', "logs"):
        policy = documents[f"module.storage.data.aws_iam_policy_document.{name}"]
        anything = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        request = Request("s3:GetObject", f"{BUCKET}/x", {"aws:SecureTransport": "false"})
        buckets = {"video": BUCKET, 'tls_only["audit"]': BUCKET.replace("video", "audit"),
                   "logs": BUCKET.replace("video", "logs")}  # fmt: skip
        request.resource = f"{buckets[name]}/x"
        assert not allowed(request, [policy, anything])
        request.context = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}
        assert allowed(request, [policy, anything])
