"""What a plan of Terraform must not do: `python -m checks.plan_policy PLAN.json [WAIVERS.yaml]`.

PLAN.json is what `terraform show -json` prints. The pipeline applies no plan that this refuses:

- footage, queues, Kafka, PostgreSQL, keys, backups and states are neither deleted nor replaced
- no site gets a route to another site, and no default route
- no bucket is public, and what can be encrypted is

WAIVERS.yaml permits a deletion by address, with a reason and a last day:

    - address: module.msk.aws_msk_cluster.this
      until: 2027-01-31
      reason: moved to Express brokers, events are replayed (CHANGE-42)
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import yaml

KEPT = frozenset(
    {
        "aws_backup_vault",
        "aws_db_instance",
        "aws_kms_key",
        "aws_msk_cluster",
        "aws_s3_bucket",
        "aws_secretsmanager_secret",
        "aws_sqs_queue",
    }
)
"""Types that hold what cannot be made again, or the key to it."""
_CLOSED = (
    "block_public_acls",
    "block_public_policy",
    "ignore_public_acls",
    "restrict_public_buckets",
)
_ENCRYPTED = {
    "aws_db_instance": "storage_encrypted",
    "aws_sqs_queue": "kms_master_key_id",
    "aws_sns_topic": "kms_master_key_id",
    "aws_ebs_volume": "encrypted",
}
_WIDEST_ROUTE_OF_SITES = 20
"""A route of the sites' table that is wider than this prefix could lead to another site."""


def violations(
    plan: Mapping[str, Any], waivers: Sequence[Mapping[str, Any]], today: date
) -> Iterator[str]:
    """Yield a sentence for each thing that the plan must not do."""
    waived = {w["address"] for w in waivers if _until(w) >= today and w.get("reason")}
    for change in plan.get("resource_changes", []):
        if change.get("mode", "managed") != "managed":
            continue
        address, kind = change["address"], change["type"]
        actions, after = change["change"]["actions"], change["change"].get("after")
        unknown = change["change"].get("after_unknown") or {}
        if kind in KEPT and "delete" in actions and address not in waived:
            yield (
                f"{address} would be {'replaced' if 'create' in actions else 'deleted'}: what it "
                "holds would be lost. If that is meant, name it in the waivers with a reason."
            )
        if not after or actions == ["no-op"]:
            continue
        if kind == "aws_s3_bucket_public_access_block":
            for name in _CLOSED:
                if not after.get(name):
                    yield f"{address}: {name} is off, so the bucket can be public."
        if kind == "aws_s3_bucket_acl" and "public" in str(after.get("acl")):
            yield f"{address}: the list of rights {after['acl']} is public."
        if (name := _ENCRYPTED.get(kind)) and not after.get(name) and not unknown.get(name):
            yield f"{address} is not encrypted: {name} is missing."
        if kind == "aws_db_instance" and after.get("publicly_accessible"):
            yield f"{address} would have a public address."
        if kind == "aws_ec2_transit_gateway" and "enable" in (
            after.get("default_route_table_association"),
            after.get("default_route_table_propagation"),
        ):
            yield f"{address}: with the default route table each site reaches each other one."
        if kind == "aws_ec2_transit_gateway_route" and not after.get("blackhole"):
            yield from _route(address, after)
        if kind == "aws_ec2_transit_gateway_route_table_propagation":
            yield f"{address}: sites are not propagated, each has one static route to it."


def _route(address: str, after: Mapping[str, Any]) -> Iterator[str]:
    network = ip_network(after["destination_cidr_block"])
    if network.prefixlen < _WIDEST_ROUTE_OF_SITES:
        yield (
            f"{address}: the route to {network} is wider than /{_WIDEST_ROUTE_OF_SITES}, so it "
            "could lead from one site to another."
        )


def _until(waiver: Mapping[str, Any]) -> date:
    until = waiver["until"]
    return until if isinstance(until, date) else date.fromisoformat(str(until))


def main(arguments: Sequence[str]) -> int:
    """Print what is wrong; return 1 if something is."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    plan = json.loads(Path(arguments[0]).read_text())
    waivers = yaml.safe_load(Path(arguments[1]).read_text()) or [] if len(arguments) > 1 else []
    found = list(violations(plan, waivers, datetime.now(UTC).date()))
    for sentence in found:
        print(sentence)
    print(f"plan policy: {len(found)} to correct" if found else "plan policy: all is well")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
