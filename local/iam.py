"""A part of IAM: which action a request is, and whether a session policy allows it.

Only for the local substitutes of S3 and SQS. It knows the elements that our own policies have, and
refuses all others.
"""

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

_KNOWN = {"Effect", "Action", "Resource", "Condition"}
_SUB_RESOURCES = ("acl", "tagging", "retention", "legal-hold", "policy", "lifecycle", "versioning")


@dataclass(frozen=True, slots=True)
class AwsAction:
    """One action on one resource, with the condition keys that the request has."""

    name: str
    """Such as s3:PutObject."""
    resource: str
    """ARN."""
    context: Mapping[str, str]


def is_allowed(policy: Mapping[str, Any], action: AwsAction) -> bool:
    """Return whether a policy allows an action. What it does not know is not allowed."""
    allowed = False
    for statement in policy["Statement"]:
        if set(statement) - _KNOWN:
            return False
        concerned = (
            _matches(statement["Action"], action.name)
            and _matches(statement["Resource"], action.resource)
            and _holds(statement.get("Condition", {}), action.context)
        )
        if concerned and statement["Effect"] != "Allow":
            return False
        allowed = allowed or concerned
    return allowed


def _matches(patterns: str | list[str], value: str) -> bool:
    given = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch.fnmatchcase(value, one.replace("[", "[[]")) for one in given)


def _holds(conditions: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    for operator, tests in conditions.items():
        for key, expected in tests.items():
            if operator == "Null":
                if (key not in context) != (expected == "true"):
                    return False
            elif operator == "StringLike":
                if key not in context or not _matches(expected, context[key]):
                    return False
            else:
                return False
    return True


def s3_actions(
    method: str, path: str, query: str, headers: Mapping[str, str], partition: str = "aws"
) -> list[AwsAction]:
    """Return the actions of a request to S3 with the bucket in its path. All must be allowed."""
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    fields = parse_qs(query, keep_blank_values=True)
    of_bucket = f"arn:{partition}:s3:::{bucket}"
    resource = f"{of_bucket}/{key}" if key else of_bucket
    context = {}
    if "if-none-match" in headers:
        context["s3:if-none-match"] = headers["if-none-match"]
    subject = "Object" if key else "Bucket"
    special = next((name for name in _SUB_RESOURCES if name in fields), None)
    if special is not None:
        verb = {"GET": "Get", "HEAD": "Get", "DELETE": "Delete"}.get(method, "Put")
        name = f"s3:{verb}{subject}{special.title().replace('-', '')}"
        return [AwsAction(name, resource, context)]
    if not bucket:
        return [AwsAction("s3:ListAllMyBuckets", "*", context)]
    match method, bool(key):
        case ("GET" | "HEAD", True):
            if "uploadId" in fields:
                return [AwsAction("s3:ListMultipartUploadParts", resource, context)]
            return [AwsAction("s3:GetObject", resource, context)]
        case ("GET" | "HEAD", False):
            return [AwsAction("s3:ListBucket", resource, context)]
        case ("PUT", True):
            actions = [AwsAction("s3:PutObject", resource, context)]
            if (source := headers.get("x-amz-copy-source")) is not None:
                copied = f"arn:{partition}:s3:::{unquote(source).lstrip('/')}"
                actions.append(AwsAction("s3:GetObject", copied, {}))
            return actions
        case ("POST", True):
            return [AwsAction("s3:PutObject", resource, context)]
        case ("DELETE", True):
            if "uploadId" in fields:
                return [AwsAction("s3:AbortMultipartUpload", resource, context)]
            return [AwsAction("s3:DeleteObject", resource, context)]
        case ("POST", False):
            return [AwsAction("s3:DeleteObject", f"{of_bucket}/*", context)]
        case ("DELETE", False):
            return [AwsAction("s3:DeleteBucket", resource, context)]
    return [AwsAction("s3:CreateBucket", resource, context)]


def sqs_action(
    path: str, headers: Mapping[str, str], body: bytes, region: str, account: str
) -> AwsAction:
    """Return the action of a request to SQS: its JSON protocol, or the older one with a form."""
    target = headers.get("x-amz-target")
    if target is not None:
        name = target.partition(".")[2]
        try:
            fields = json.loads(body)
        except ValueError:
            fields = {}
        url = str(fields.get("QueueUrl", "")) if isinstance(fields, dict) else ""
    else:
        form = {key: values[0] for key, values in parse_qs(body.decode(errors="replace")).items()}
        name, url = form.get("Action", ""), form.get("QueueUrl", path)
    # A batch is allowed by the same right as a single message.
    name = name.removesuffix("Batch")
    queue = url.rstrip("/").rsplit("/", 1)[-1] or "*"
    return AwsAction(f"sqs:{name}", f"arn:aws:sqs:{region}:{account}:{queue}", {})
