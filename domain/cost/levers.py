"""What a change would save, and what it costs in another way; the dearest first."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from domain.cost.bill import Bill, bill
from domain.cost.workload import Workload

HEVC_SHARE = 0.6
"""Of the bits of H.264, for the same picture: a usual figure. Cameras differ."""
EVENT_SHARE = 0.2
"""Of the time that has motion: a guess. Put in your own by --uploaded-share."""
SUB_MBIT_S = 0.5
LONG_FRAGMENT_S = 8.0
LONG_WINDOW_MS = 300_000
LARGE_PART = 16 << 20
COLD_AFTER_DAYS = 7


@dataclass(frozen=True, slots=True)
class Lever:
    """One change."""

    name: str
    change: str
    effect: str
    """What else it does."""
    available: bool
    """Whether settings alone do it. False: Vigil has to be changed for it."""
    saves_usd: float
    """A month. Less than 0: it costs more."""
    saves_share: float


def levers(current: Bill) -> list[Lever]:
    """Return the changes by what they save, most first. They do not add up."""
    found = []
    for name, change, effect, available, changed in _changes(current.workload):
        saved = current.usd - bill(changed, current.prices).usd
        if abs(saved) >= 0.01:
            found.append(Lever(name, change, effect, available, saved, saved / current.usd))
    return sorted(found, key=lambda each: -each.saves_usd)


def _changes(now: Workload) -> Iterator[tuple[str, str, str, bool, Workload]]:
    window_s = now.rules.window_ms // 1_000
    if now.fragment_s < LONG_FRAGMENT_S:
        yield (
            "fragment length", f"{now.fragment_s:g} s to {LONG_FRAGMENT_S:g} s (`fragment_s`)",
            "Footage is playable later by the difference.", True,
            replace(now, fragment_s=LONG_FRAGMENT_S),
        )  # fmt: skip
    if now.rules.window_ms < LONG_WINDOW_MS:
        yield (
            "window length", f"{window_s} s to {LONG_WINDOW_MS // 1_000} s (`VIGIL_WINDOW_MS`)",
            "Chunks are uploaded in parts where they exceed 32 MiB.", True,
            replace(now, rules=replace(now.rules, window_ms=LONG_WINDOW_MS)),
        )  # fmt: skip
    if now.part_bytes < LARGE_PART:
        yield (
            "part size", "5 MiB to 16 MiB", "Matters for chunks above 32 MiB. More memory.", False,
            replace(now, part_bytes=LARGE_PART),
        )  # fmt: skip
    if now.uplink == "vpn":
        yield (
            "uplink", "internet in place of the VPN, by TLS and the device's own credentials",
            "No hub, tunnels or endpoint data. S3 must accept the sites' public addresses.", True,
            replace(now, uplink="internet"),
        )  # fmt: skip
    platform = now.platform
    if platform.nat_gateways > 1:
        yield (
            "NAT gateways", f"{platform.nat_gateways} to 1",
            "Without its zone, programs cannot reach the internet.", True,
            replace(now, platform=replace(platform, nat_gateways=1)),
        )  # fmt: skip
    if platform.zones > 2:
        yield (
            "interface endpoints", f"in 2 zones in place of {platform.zones}",
            "One zone reaches AWS through another.", False,
            replace(now, platform=replace(platform, zones=2)),
        )  # fmt: skip
    yield from _storage_changes(now)
    yield from _footage_changes(now)


def _storage_changes(now: Workload) -> Iterator[tuple[str, str, str, bool, Workload]]:
    if now.cold_class == "standard" and now.retention_days > COLD_AFTER_DAYS:
        yield (
            "storage class by age",
            f"Glacier Instant Retrieval after {COLD_AFTER_DAYS} days (a rule of the lifecycle)",
            "Each GB read from it costs. It bills at least 90 days.", False,
            replace(now, cold_class="glacier-instant", cold_after_days=COLD_AFTER_DAYS),
        )  # fmt: skip
    if now.cold_class == "standard" and now.retention_days > 30:
        yield (
            "storage class by age", "Standard-IA after 30 days (a rule of the lifecycle)",
            "Each GB read from it costs. It bills at least 30 days.", False,
            replace(now, cold_class="standard-ia", cold_after_days=30),
        )  # fmt: skip
    if now.reconcile_every_h < 6:
        yield (
            "reconciler", f"every {now.reconcile_every_h:g} h to every 6 h",
            "A fragment without its event is found later.", True,
            replace(now, reconcile_every_h=6),
        )  # fmt: skip


def _footage_changes(now: Workload) -> Iterator[tuple[str, str, str, bool, Workload]]:
    yield (
        "codec", f"HEVC in place of H.264: {HEVC_SHARE:.0%} of the bits",
        "A setting of the cameras. Some browsers cannot play it.", True,
        replace(now, mbit_s=now.mbit_s * HEVC_SHARE),
    )  # fmt: skip
    if now.mbit_s > SUB_MBIT_S:
        yield (
            "sub stream", f"record the sub stream ({SUB_MBIT_S:g} Mbit/s) in place of the main",
            "Fewer details.", True, replace(now, mbit_s=SUB_MBIT_S),
        )  # fmt: skip
    if now.uploaded_share > EVENT_SHARE:
        yield (
            "event-only upload", f"upload {EVENT_SHARE:.0%} of the time, where something moves",
            "The rest is at the site only, as long as its disk holds it.", False,
            replace(now, uploaded_share=EVENT_SHARE),
        )  # fmt: skip
    if now.retention_days > 7:
        yield (
            "retention", f"{now.retention_days} days to {max(7, now.retention_days // 2)}",
            "Older footage is gone.", True,
            replace(now, retention_days=max(7, now.retention_days // 2)),
        )  # fmt: skip
