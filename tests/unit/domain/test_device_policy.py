"""What a device's credentials allow, action by action, as IAM evaluates the policy."""

import json

import pytest

from domain.device_policy import MAX_POLICY_CHARS, device_policy, queue_arn, session_name
from domain.errors import ConfigError
from local.iam import AwsAction, is_allowed, s3_actions, sqs_action

REGION, ACCOUNT = "eu-central-1", "000000000000"
QUEUE = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/vigil-events"
POLICY = device_policy("acme/berlin/edge-1", "vigil", queue_arn(QUEUE, REGION))
OWN = "/vigil/fragments/acme/berlin/gate/run/00000001.ts"
ONCE = {"if-none-match": "*"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "allowed"),
    [
        ("PUT", OWN, "", ONCE, True),
        ("PUT", "/vigil/fragments/acme/berlin/gate/run/end.json", "", ONCE, True),
        ("PUT", OWN, "", {}, False),  # an overwrite
        ("PUT", "/vigil/fragments/acme/munich/gate/run/00000001.ts", "", ONCE, False),
        ("PUT", "/vigil/fragments/other/berlin/gate/run/00000001.ts", "", ONCE, False),
        ("PUT", "/vigil/fragments/acme/berlin2/gate/run/00000001.ts", "", ONCE, False),
        ("PUT", "/vigil/fragments/acme/berlin", "", ONCE, False),
        ("PUT", "/vigil/chunks/acme/berlin/gate/x.ts", "", ONCE, False),
        ("PUT", "/vigil/audit/heads/x", "", ONCE, False),
        ("PUT", "/other/fragments/acme/berlin/gate/run/00000001.ts", "", ONCE, False),
        ("PUT", OWN, "", {**ONCE, "x-amz-copy-source": "/vigil/fragments/acme/munich/x"}, False),
        ("PUT", OWN, "acl", ONCE, False),
        ("PUT", OWN, "tagging", ONCE, False),
        ("PUT", OWN, "retention", ONCE, False),
        ("PUT", OWN, "partNumber=1&uploadId=x", {}, False),
        ("POST", OWN, "uploads", {}, False),
        ("GET", OWN, "", {}, False),
        ("HEAD", OWN, "", {}, False),
        ("GET", OWN, "acl", {}, False),
        ("DELETE", OWN, "", {}, False),
        ("POST", "/vigil", "delete", {}, False),
        ("GET", "/vigil", "list-type=2&prefix=fragments/acme/berlin/", {}, False),
        ("HEAD", "/vigil", "", {}, False),
        ("GET", "/vigil", "policy", {}, False),
        ("PUT", "/vigil", "", {}, False),
        ("DELETE", "/vigil", "", {}, False),
        ("GET", "/", "", {}, False),
    ],
)
def test_requests_to_s3(
    method: str, path: str, query: str, headers: dict[str, str], allowed: bool
) -> None:
    actions = s3_actions(method, path, query, headers)
    assert all(is_allowed(POLICY, one) for one in actions) == allowed, actions


@pytest.mark.parametrize(
    ("name", "queue", "allowed"),
    [
        ("SendMessage", "vigil-events", True),
        ("SendMessageBatch", "vigil-events", True),
        ("SendMessageBatch", "vigil-dead-letters", False),
        ("SendMessageBatch", "vigil-events2", False),
        ("ReceiveMessage", "vigil-events", False),
        ("DeleteMessage", "vigil-events", False),
        ("PurgeQueue", "vigil-events", False),
        ("GetQueueAttributes", "vigil-events", False),
        ("SetQueueAttributes", "vigil-events", False),
        ("DeleteQueue", "vigil-events", False),
    ],
)
def test_requests_to_sqs(name: str, queue: str, allowed: bool) -> None:
    body = json.dumps({"QueueUrl": f"http://x/{ACCOUNT}/{queue}"}).encode()
    headers = {"x-amz-target": f"AmazonSQS.{name}"}
    assert is_allowed(POLICY, sqs_action("/", headers, body, REGION, ACCOUNT)) == allowed
    form = f"Action={name}&QueueUrl=http://x/{ACCOUNT}/{queue}".encode()
    assert is_allowed(POLICY, sqs_action("/", {}, form, REGION, ACCOUNT)) == allowed


@pytest.mark.parametrize("name", ["kms:Decrypt", "iam:PassRole", "sts:AssumeRole", "s3:*", "*"])
def test_nothing_else(name: str) -> None:
    assert not is_allowed(POLICY, AwsAction(name, "*", {}))


def test_keys_of_an_encrypted_bucket_are_used_by_way_of_s3_and_sqs_only() -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
    policy = device_policy("a/b/c", "vigil", queue_arn(QUEUE, REGION), (key,))
    for name in ("kms:GenerateDataKey", "kms:Decrypt"):
        by_s3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
        assert is_allowed(policy, AwsAction(name, key, by_s3))
        assert not is_allowed(policy, AwsAction(name, key, {}))
        assert not is_allowed(policy, AwsAction(name, f"{key}2", by_s3))


def test_the_longest_names_fit() -> None:
    longest = "/".join(["x" * 63] * 3)
    policy = device_policy(longest, "b" * 63, queue_arn(f"https://q/{ACCOUNT}/{'q' * 80}", REGION))
    assert len(json.dumps(policy, separators=(",", ":"))) < MAX_POLICY_CHARS
    names = {session_name(f"{longest[:-1]}{end}") for end in "ab"}
    assert len(names) == 2
    assert all(len(name) == 64 for name in names)
    assert session_name("acme/berlin/edge-1") == "acme=berlin=edge-1"


def test_arns_of_queues() -> None:
    assert queue_arn("https://q/123456789012/x", "cn-north-1").startswith("arn:aws-cn:sqs:")
    for url in ("", "https://sqs", "https://sqs/queue", "https://sqs/account/queue"):
        with pytest.raises(ConfigError, match="names no queue"):
            queue_arn(url, REGION)
