"""The bucket's lifecycle: a far backstop behind retention, for what it has left standing.

S3 knows nothing of holds and does not ask: so footage expires by it only where every camera of a
tenant has an age, long after that age, and not at all while a hold stands in that tenant.
"""

from collections.abc import Iterable
from typing import Any

from domain.errors import ConfigError
from domain.retention import DAY_MS, RetentionPolicy

SLACK_DAYS = 30
"""Days between the end of retention and S3's own expiry; as far as an edge can spool."""
UPLOADS_DAYS = 7
NONCURRENT_DAYS = 7
MOST_RULES = 1_000
"""What S3 takes."""


def lifecycle(cameras: Iterable[str], policy: RetentionPolicy) -> dict[str, Any]:
    """Return the bucket's lifecycle configuration in S3's form (PutBucketLifecycleConfiguration).

    Raises ConfigError where S3 would not take it.
    """
    rules: list[dict[str, Any]] = [
        {
            "ID": "unfinished-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOADS_DAYS},
        }
    ]
    ages: dict[str, list[int | None]] = {}
    for camera in cameras:
        ages.setdefault(camera.split("/", 1)[0], []).append(policy.age_ms(camera))
    held = {hold.scope.split("/", 1)[0] for hold in policy.holds}
    for tenant, known in sorted(ages.items()):
        longest = [age for age in known if age is not None]
        if tenant in held or len(longest) < len(known):
            continue
        days = max(longest) // DAY_MS + SLACK_DAYS
        rules += [_expiry(kind, tenant, days) for kind in ("fragments", "chunks")]
    if len(rules) > MOST_RULES:
        raise ConfigError(
            f"S3 takes {MOST_RULES} lifecycle rules, these are {len(rules)}: give tenants buckets "
            "of their own."
        )
    return {"Rules": rules}


def _expiry(kind: str, tenant: str, days: int) -> dict[str, Any]:
    return {
        "ID": f"{kind}-{tenant}",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{kind}/{tenant}/"},
        "Expiration": {"Days": days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": NONCURRENT_DAYS},
    }
