"""What an installation needs of each AWS quota, and which quotas must be raised for it.

The defaults are those that AWS documents for a new account, read from memory and public pages on
`AS_OF`. No account was asked: check them in Service Quotas before you plan.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streams.topics import TOPICS

AS_OF = "2026-11-30"
SITES = (51, 500)
CAMERAS = 32
"""Of a site."""
FRAGMENT_S = 2
PARTITIONS = 64
REPLICAS = 3
BROKERS = 3
OWN_TOPIC_PARTITIONS = 100
"""Of Kafka's own topics: offsets of groups, transactions."""
CREDENTIALS_S = 3_600
"""How long a device's AWS credentials are valid."""
ALARMS, LOG_GROUPS, PARAMETERS = 3, 1, 1
"""Of a site: terraform/modules/site."""


@dataclass(frozen=True, slots=True)
class Quota:
    """One of AWS's quotas, by its name there."""

    service: str
    name: str
    default: int
    adjustable: bool
    need: Callable[[int], int]
    """What so many sites need."""


def _puts_s(sites: int) -> int:
    """Return PUTs a second of fragments, chunks and manifests."""
    return math.ceil(sites * CAMERAS * (1 / FRAGMENT_S + 2 / 60))


QUOTAS = (
    Quota("vpn", "Site-to-Site VPN connections per Region", 50, True, lambda sites: sites),
    Quota("vpn", "Customer gateways per Region", 50, True, lambda sites: sites),
    Quota("tgw", "Attachments per transit gateway", 5_000, False, lambda sites: sites + 1),
    Quota("tgw", "Routes per transit gateway", 10_000, True, lambda sites: 2 * sites + 10),
    Quota("tgw", "Route tables per transit gateway", 20, True, lambda _: 2),
    Quota("cloudwatch", "Alarms per Region", 5_000, True, lambda sites: ALARMS * sites + 60),
    Quota("logs", "Log groups per Region", 1_000_000, True, lambda sites: LOG_GROUPS * sites + 20),
    Quota("ssm", "Standard parameters", 10_000, True, lambda sites: PARAMETERS * sites + 100),
    Quota("iam", "Roles per account", 1_000, True, lambda _: 60),
    Quota(
        "sts", "AssumeRole a second", 600, True,
        # all devices at once after an outage, spread over a minute by jitter
        lambda sites: math.ceil(sites / 60),
    ),
    Quota(
        "s3", "PUT a second for each prefix", 3_500, False,
        lambda sites: math.ceil(_puts_s(sites) / sites),  # S3 divides by prefix: one for each site
    ),
    Quota("s3", "PUT a second until S3 has divided the prefixes", 3_500, False, _puts_s),
    Quota(
        "sqs", "Messages in flight of a standard queue", 120_000, True,
        # each relay has at most 4 requests of 10 messages in flight
        lambda sites: 40 * math.ceil(sites / 25),
    ),
    Quota(
        "msk", "Partitions per broker (m7g.large, recommended)", 1_000, False,
        lambda _: ((len(TOPICS) + 1) * PARTITIONS + OWN_TOPIC_PARTITIONS) * REPLICAS // BROKERS,
    ),
    Quota("msk", "Brokers per account", 90, True, lambda _: BROKERS),
    Quota("rds", "DB instances", 40, True, lambda _: 2),
    Quota("vpc", "Elastic IPs per Region", 5, True, lambda _: 3),
    Quota("vpc", "Interface endpoints per VPC", 50, True, lambda _: 14),
    Quota(
        "ec2", "vCPUs of Standard On-Demand instances", 5, True,
        # assembler and indexer: one core for 1,600 cameras; joiners and the rest as much again
        lambda sites: 16 + math.ceil(sites * CAMERAS / 400),
    ),
    Quota("ec2", "vCPUs of G and VT On-Demand instances", 0, True, lambda _: 8),
)  # fmt: skip


def plan(sites: int) -> dict[str, Any]:
    """Return what must be raised for so many sites, and what cannot be."""
    needs = [(quota, quota.need(sites)) for quota in QUOTAS]
    over = [(quota, need) for quota, need in needs if need > quota.default]
    return {
        "sites": sites,
        "cameras": sites * CAMERAS,
        "as_of": AS_OF,
        "quotas": len(QUOTAS),
        "raise": {
            f"{quota.service}: {quota.name}": f"{quota.default} -> {need}"
            for quota, need in over
            if quota.adjustable
        },
        "not_adjustable": {
            f"{quota.service}: {quota.name}": f"{quota.default}, needs {need}"
            for quota, need in over
            if not quota.adjustable
        },
    }


def run(_arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the plan for each number of sites."""
    return [plan(sites) for sites in SITES]
