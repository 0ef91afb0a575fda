"""The cost model: what follows from what, and that its defaults are those of the programs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from agents.healing import reconciler
from agents.relay import relay
from cli.main import main
from domain.cost.bill import PURPOSES, bill, sqs_requests
from domain.cost.levers import levers
from domain.cost.prices import REGIONS, US_EAST_1, prices_of
from domain.cost.rates import RECONCILE_DAYS, hourly
from domain.cost.workload import DEV, Platform, Workload
from domain.errors import ConfigError
from edge_bridge.config.edge import EdgeConfig
from stores import bulk_transfer
from streams.cost_settings import with_settings
from streams.settings import Settings

ROOT = Path(__file__).parents[3]
USUAL = Workload()


def test_defaults_are_those_of_the_programs() -> None:
    settings = Settings()
    assert with_settings(USUAL, settings) == USUAL
    assert settings.tick_ms == USUAL.tick_s * 1_000
    assert EdgeConfig.model_fields["fragment_s"].default == USUAL.fragment_s
    assert EdgeConfig.model_fields["heartbeat_s"].default == USUAL.heartbeat_s
    assert USUAL.relay_receivers == relay.RECEIVERS
    assert USUAL.part_bytes == bulk_transfer.PART_SIZE
    assert USUAL.max_put_bytes == bulk_transfer.MAX_PUT_BYTES
    assert reconciler.DAY_MS * RECONCILE_DAYS == 30 * 86_400_000


@pytest.mark.parametrize(("environment", "platform"), [("production", Platform()), ("dev", DEV)])
def test_sizes_are_those_of_terraform(environment: str, platform: Platform) -> None:
    folder = ROOT / "terraform/environments" / environment
    values = "".join((folder / f"{name}.tfvars").read_text() for name in ("data", "network"))
    found = dict(re.findall(r"^(\w+)\s*= (.+)$", values, re.MULTILINE))
    zones = found["zones"].count(",") + 1
    assert found["broker_type"] == f'"{platform.broker_type}"'
    assert found["database_class"] == f'"{platform.database_class}"'
    assert (2 if found["multi_az"] == "true" else 1) == platform.database_zones
    assert (zones if found["nat_per_zone"] == "true" else 1) == platform.nat_gateways
    assert zones == platform.zones
    assert platform.broker_type in US_EAST_1.msk_broker_hour
    assert platform.database_class in US_EAST_1.rds_hour


def test_endpoints_are_those_of_terraform() -> None:
    """The module's services, and S3's own for the sites."""
    text = (ROOT / "terraform/modules/network/variables.tf").read_text()
    default = text.split('variable "interface_endpoints"')[1].split("default = [")[1].split("]")[0]
    assert len(re.findall(r'"[a-z0-9.-]+"', default)) + 1 == Platform().interface_endpoints


def test_four_megabits_for_thirty_days() -> None:
    made = bill(USUAL, US_EAST_1)
    [chunks] = [line for line in made.lines if line.what == "chunks, Standard"]
    assert chunks.amount * (1 << 30) == pytest.approx(USUAL.cameras * 1_296e9)
    assert sum(made.by_purpose(name) for name in PURPOSES) == pytest.approx(made.usd)
    assert made.usd == pytest.approx(sum(made.services().values()))
    assert made.by_scale("installation") + USUAL.sites * made.per_site + USUAL.cameras * (
        made.per_camera
    ) == pytest.approx(made.usd)


def test_what_is_added_stays_below_fifteen_percent() -> None:
    assert bill(USUAL, US_EAST_1).added_share < 0.15


def test_rates_follow_the_settings() -> None:
    rates = hourly(USUAL)
    assert rates.put["edge: fragment"] == 900
    assert rates.messages["fragment-arrived"] == pytest.approx(900)
    assert rates.records["chunk-complete"] == pytest.approx(60)
    longer = hourly(replace(USUAL, fragment_s=8))
    assert longer.put["edge: fragment"] == 450
    assert longer.record_bytes["chunk-complete"] < rates.record_bytes["chunk-complete"]
    wider = hourly(replace(USUAL, rules=replace(USUAL.rules, window_ms=300_000)))
    assert wider.records["chunk-complete"] == pytest.approx(12)
    assert wider.put["join: chunk"] == 12 * (2 + 29)  # 150 MB in parts of 5 MiB
    unsigned = hourly(replace(USUAL, signed=False))
    assert unsigned.record_bytes["fragment-arrived"] < rates.record_bytes["fragment-arrived"]
    assert unsigned.manifest_bytes < rates.manifest_bytes


def test_a_day_without_connections_lists_one_run_less() -> None:
    often = hourly(replace(USUAL, runs_per_day=24))
    assert often.list["reconcile: fragments"] > 20 * hourly(USUAL).list["reconcile: fragments"]


def test_receives_are_never_fewer_than_the_empty_ones() -> None:
    one = replace(USUAL, sites=1, cameras_per_site=1, relays=1)
    assert sqs_requests(one, hourly(one))["receive"] > 4 * 3_600 / 2
    many = sqs_requests(USUAL, hourly(USUAL))
    assert many["receive"] == pytest.approx(many["send"], rel=1e-6)


def test_levers_are_ranked_and_spare_what_is_taken() -> None:
    found = levers(bill(USUAL, US_EAST_1))
    saved = [each.saves_usd for each in found]
    assert saved == sorted(saved, reverse=True)
    taken = replace(USUAL, fragment_s=8, uplink="internet", uploaded_share=0.1)
    names = {each.name for each in levers(bill(taken, US_EAST_1))}
    assert names.isdisjoint({"fragment length", "uplink", "event-only upload"})


def test_cold_storage_bills_its_shortest_time() -> None:
    cold = replace(USUAL, cold_class="glacier-instant", cold_after_days=7)
    [line] = [each for each in bill(cold, US_EAST_1).lines if "Glacier" in each.what
              and each.purpose == "storage"]  # fmt: skip
    kept = USUAL.cameras * 1_296e9 / (1 << 30)
    assert line.amount == pytest.approx(kept * 23 / 30 * 90 / 23)


@pytest.mark.parametrize("region", sorted(REGIONS))
def test_each_region_has_all_prices(region: str) -> None:
    assert bill(USUAL, prices_of(region)).usd > bill(USUAL, US_EAST_1).usd * 0.99


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sites": 0}, "sites must be 1 to 100,000, not 0"),
        ({"mbit_s": 1e9}, "mbit_s must be"),
        ({"uploaded_share": 0}, "uploaded_share must be"),
    ],
)
def test_what_no_installation_is(change: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        replace(USUAL, **change)  # type: ignore[arg-type]


def test_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "s0001.yaml").write_text("cameras: {count: 10, mbit_s: 2}\n")
    (tmp_path / "s0002.yaml").write_text("cameras: {count: 21, mbit_s: 4}\n")
    with pytest.raises(SystemExit) as ended:
        main(
            ["cost", "--json", "--sites-dir", str(tmp_path), "--days", "7", "--region", "eu-west-1"]
        )
    assert not ended.value.code
    printed = json.loads(capsys.readouterr().out)
    assert (printed["sites"], printed["cameras"]) == (2, 31)
    assert printed["prices_written"] == "2026-11-30"
    with pytest.raises(SystemExit):
        main(["cost", "--lines"])
    text = capsys.readouterr().out
    assert "Check them before use" in text
    assert "Kinesis Video Streams" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--region", "mars"], "There are no prices of mars"),
        (["--sites-dir", "none"], "has no file of a site"),
        (["--days", "0"], "retention_days must be"),
    ],
)
def test_command_refuses(arguments: list[str], text: str) -> None:
    with pytest.raises(SystemExit, match=text):
        main(["cost", *arguments])
