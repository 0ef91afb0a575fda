"""What a plan of Terraform must not do."""

from datetime import date
from typing import Any

import pytest

from checks.plan_policy import violations

TODAY = date(2026, 11, 30)


def plan(
    kind: str,
    actions: list[str],
    after: dict[str, Any] | None = None,
    unknown: dict[str, Any] | None = None,
) -> dict[str, Any]:
    change = {"actions": actions, "after": after, "after_unknown": unknown or {}}
    return {
        "resource_changes": [
            {"address": f"{kind}.this", "type": kind, "mode": "managed", "change": change}
        ]
    }


def found(plan: dict[str, Any], *waivers: dict[str, Any]) -> list[str]:
    return list(violations(plan, waivers, TODAY))


@pytest.mark.parametrize("kind", ["aws_s3_bucket", "aws_db_instance", "aws_msk_cluster"])
@pytest.mark.parametrize("actions", [["delete"], ["delete", "create"], ["create", "delete"]])
def test_data_is_not_deleted(kind: str, actions: list[str]) -> None:
    verb = "replaced" if "create" in actions else "deleted"
    [sentence] = found(plan(kind, actions))
    assert sentence == (
        f"{kind}.this would be {verb}: what it holds would be lost. If that is meant, name it in "
        "the waivers with a reason."
    )


def test_what_can_be_made_again_may_go() -> None:
    assert found(plan("aws_eks_cluster", ["delete", "create"])) == []


def test_a_waiver_names_the_address_a_day_and_a_reason() -> None:
    gone = plan("aws_s3_bucket", ["delete"])
    waiver = {"address": "aws_s3_bucket.this", "until": "2026-12-01", "reason": "dev is removed"}
    assert found(gone, waiver) == []
    assert found(gone, waiver | {"until": "2026-11-29"})
    assert found(gone, waiver | {"reason": ""})
    assert found(gone, waiver | {"address": "aws_s3_bucket.that"})


CLOSED = {
    "block_public_acls": True,
    "block_public_policy": True,
    "ignore_public_acls": True,
    "restrict_public_buckets": True,
}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("aws_s3_bucket_public_access_block", CLOSED, CLOSED | {"block_public_policy": False}),
        ("aws_s3_bucket_acl", {"acl": "private"}, {"acl": "public-read"}),
        ("aws_sqs_queue", {"kms_master_key_id": "key"}, {"kms_master_key_id": None}),
        (
            "aws_db_instance",
            {"storage_encrypted": True, "publicly_accessible": False},
            {"storage_encrypted": True, "publicly_accessible": True},
        ),
        (
            "aws_ec2_transit_gateway",
            {"default_route_table_association": "disable"},
            {"default_route_table_association": "enable"},
        ),
        (
            "aws_ec2_transit_gateway_route",
            {"destination_cidr_block": "10.64.244.0/24"},
            {"destination_cidr_block": "10.128.0.0/9"},
        ),
        (
            "aws_ec2_transit_gateway_route",
            {"destination_cidr_block": "10.0.0.0/8", "blackhole": True},
            {"destination_cidr_block": "0.0.0.0/0"},
        ),
    ],
)
def test_each_rule(kind: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert found(plan(kind, ["create"], good)) == []
    assert len(found(plan(kind, ["create"], bad))) == 1
    assert found(plan(kind, ["no-op"], bad)) == []


def test_a_value_that_is_not_known_yet_counts_as_set() -> None:
    unknown = {"kms_master_key_id": True}
    assert found(plan("aws_sqs_queue", ["create"], {"name": "a"}, unknown)) == []
