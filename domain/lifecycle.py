"""The bucket's lifecycle rules: a late safety net for objects that retention has missed.

S3 does not know legal holds. So footage of a tenant expires only if every camera of it has an
age, and long after that age. While the tenant has a legal hold, nothing of it expires.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.errors import ConfigError
from domain.retention import DAY_MS, RetentionPolicy

SLACK_DAYS = 30
"""Days between the end of retention and S3's own expiry; as far as an edge can spool."""
UPLOADS_DAYS = 7
NONCURRENT_DAYS = 7
MAX_RULES = 1_000
"""The limit of S3."""


def lifecycle(cameras: Iterable[str], policy: RetentionPolicy) -> dict[str, Any]:
    """Return the bucket's lifecycle configuration in S3's form (PutBucketLifecycleConfiguration).

    Raises ConfigError if S3 would reject it.
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
    if len(rules) > MAX_RULES:
        raise ConfigError(
            f"S3 accepts {MAX_RULES} lifecycle rules, but there are {len(rules)}. Give tenants "
            "buckets of their own."
        )
    return {"Rules": rules}


def unsafe_rules(applied: Iterable[Mapping[str, Any]], expected: Mapping[str, Any]) -> list[str]:
    """Return the applied rules of a bucket that may delete footage too early, by their ids.

    `expected` is what `lifecycle` returns now. A rule that expires objects is safe where an
    expected rule expires the same prefix as soon, or sooner.
    """
    allowed = {
        rule["Filter"]["Prefix"]: rule["Expiration"]["Days"]
        for rule in expected["Rules"]
        if "Expiration" in rule
    }
    unsafe = []
    for rule in applied:
        expiration = rule.get("Expiration", {})
        if rule.get("Status") != "Enabled" or not expiration.keys() & {"Days", "Date"}:
            continue
        days = allowed.get(_prefix(rule))
        # A date, unlike days, does not follow the age of the footage.
        if days is None or "Date" in expiration or expiration["Days"] < days:
            unsafe.append(str(rule.get("ID", _prefix(rule))))
    return unsafe


def _prefix(rule: Mapping[str, Any]) -> str:
    """Return the prefix of a rule: S3 knows three places for it."""
    condition = rule.get("Filter", {})
    return str(
        condition.get("Prefix") or condition.get("And", {}).get("Prefix") or rule.get("Prefix", "")
    )


def _expiry(kind: str, tenant: str, days: int) -> dict[str, Any]:
    return {
        "ID": f"{kind}-{tenant}",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{kind}/{tenant}/"},
        "Expiration": {"Days": days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": NONCURRENT_DAYS},
    }
