"""What is uploaded when: rate limit by time of day, shares, concurrency limit, timeouts."""

import random
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from domain.errors import CredentialsError, StoreError
from domain.identity import FragmentId
from edge_bridge.config.schedule import Schedule, TimeSlot
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.config.upload import UploadConfig
from edge_bridge.spool.spool import Spool, open_spool
from edge_bridge.temperatures import temperatures
from edge_bridge.upload.adaptive_timeout import MAX_TIMEOUT_S, AdaptiveTimeout, RequestTimeout
from edge_bridge.upload.bandwidth import BandwidthLimiter, TokenBucket
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.link import BACKOFF, Link
from edge_bridge.upload.scheduler import UploadScheduler
from tests.unit.edge_bridge.material import T0_MS, fragment, started

BERLIN = ZoneInfo("Europe/Berlin")


def utc_ms(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() * 1_000)


class TestSchedule:
    # Berlin:  00:00 ───── 08:00 ═════ 4,000 ═════ 18:00 ───── 22:00 ═ 0 ═ 24:00 …… 06:00
    SCHEDULE = Schedule(
        20_000,
        [TimeSlot(time(8), time(18), 4_000), TimeSlot(time(22), time(6), 0)],
        BERLIN,
    )

    @pytest.mark.parametrize(
        ("at_ms", "kbit"),
        [
            (utc_ms(2026, 11, 22, 6, 59), 20_000),  # 07:59 in Berlin's winter
            (utc_ms(2026, 11, 22, 7), 4_000),  # 08:00: the first moment belongs to it
            (utc_ms(2026, 11, 22, 16, 59), 4_000),
            (utc_ms(2026, 11, 22, 17), 20_000),  # 18:00: the end does not
            (utc_ms(2026, 7, 1, 6), 4_000),  # 08:00 in summer
            (utc_ms(2026, 7, 1, 16), 20_000),
            (utc_ms(2026, 11, 22, 22, 30), 0),  # across midnight
            (utc_ms(2026, 11, 22, 4, 30), 0),
            (utc_ms(2026, 11, 22, 5), 20_000),
        ],
    )
    def test_the_time_of_day_at_the_site_counts(self, at_ms: int, kbit: int) -> None:
        assert self.SCHEDULE.kbit(at_ms) == kbit

    def test_it_is_read_from_the_configuration_and_as_yaml_reads_times(self) -> None:
        config = UploadConfig.model_validate(
            {
                "limit_kbit": 20_000,
                "time_zone": "Europe/Berlin",
                "schedule": [{"from": "08:00", "to": 1080, "kbit": 4_000}],  # 18:00 in YAML 1.1
            }
        )
        (slot,) = config.schedule
        assert (slot.begin, slot.end) == (time(8), time(18))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"time_zone": "Europe/Atlantis"},
            {"schedule": [{"from": "8 o'clock", "to": "18:00", "kbit": 1}]},
            {"schedule": [{"from": "25:00", "to": "18:00", "kbit": 1}]},
            {"concurrency": 2, "least_concurrency": 3},
            {"backlog_share": 1.5},
        ],
    )
    def test_values_that_make_no_sense_are_rejected(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            UploadConfig.model_validate(wrong)


class TestBandwidthLimiter:
    async def test_a_day_of_uploads_keeps_to_the_cap(self) -> None:
        seed = random.randrange(1 << 30)
        print(f"seed {seed}")
        dice = random.Random(seed)
        now = [0.0]
        start = datetime(2026, 11, 22, tzinfo=BERLIN)

        async def sleep(seconds: float) -> None:
            now[0] += seconds

        schedule = Schedule(20_000, [TimeSlot(time(8), time(18), 4_000)], BERLIN)
        bandwidth = BandwidthLimiter(
            schedule,
            steady_s=lambda: now[0],
            utc_ms=lambda: int((start + timedelta(seconds=now[0])).timestamp() * 1_000),
            sleep=sleep,
        )
        by_hour = [0] * 25
        while now[0] < 86_400:
            await bandwidth.ready()
            size = dice.randrange(500_000, 2_500_000)
            by_hour[int(now[0] // 3_600)] += size
            bandwidth.spend(size)
        for hour in range(24):
            allowed = (4_000 if 8 <= hour < 18 else 20_000) * 125 * 3_600
            assert allowed * 0.99 < by_hour[hour] < allowed * 1.01, hour

    async def test_live_goes_first_and_leaves_uploads_their_share(self) -> None:
        """A cap of 1,000 bytes a second; live wants more than that, uploads as well."""
        now = [0.0]

        async def sleep(seconds: float) -> None:
            now[0] += seconds

        bandwidth = BandwidthLimiter(
            Schedule(8, [], BERLIN), steady_s=lambda: now[0], utc_ms=lambda: 0, sleep=sleep
        )
        sent = {"live": 0, "uploads": 0}
        while now[0] < 1_000:
            while bandwidth._live_bucket.wait_s(now[0], bandwidth._live_kbit()) == 0:
                bandwidth.spend_live(100)
                sent["live"] += 100
            if bandwidth._wait_s(now[0]) == 0:
                await bandwidth.ready()
                bandwidth.spend(1_000)
                sent["uploads"] += 1_000
            now[0] += 0.1
        assert sent["live"] == pytest.approx(1_000 * 750, rel=0.05)  # 6 of 8 kbit
        assert sent["live"] + sent["uploads"] == pytest.approx(1_000_000, rel=0.02)

    async def test_uploads_start_slowly_where_a_line_without_a_cap_is_too_thin(self) -> None:
        now = [0.0]
        starts = []

        async def sleep(seconds: float) -> None:
            now[0] += seconds

        bandwidth = BandwidthLimiter(
            Schedule(None, [], BERLIN), steady_s=lambda: now[0], utc_ms=lambda: 0, sleep=sleep
        )
        await bandwidth.ready()
        bandwidth.yield_to_live()
        for _ in range(8):
            await bandwidth.ready()
            starts.append(now[0])
        assert starts == [2, 4, 6, 8, 10, 10, 10, 10]

    def test_a_cap_of_zero_waits_and_messages_may_go_into_debt(self) -> None:
        bucket = TokenBucket()
        assert bucket.wait_s(0, 0) > 0
        assert bucket.wait_s(1, 8) == 0  # 1,000 bytes a second
        bucket.spend(11_000)
        assert bucket.wait_s(2, 8) == pytest.approx(9, abs=0.01)
        assert bucket.wait_s(11, 8) == 0
        assert bucket.wait_s(12, None) == 0


class TestConcurrencyLimit:
    @staticmethod
    def on_a_line(
        concurrency: ConcurrencyLimit, *, each: float, line: float, seconds: float
    ) -> list[int]:
        """Upload over a line that carries `line` bytes a second, `each` per connection at most."""
        now, seen = 0.0, []
        while now < seconds:
            concurrency.started(now)
            rate = min(line, each * concurrency.limit)
            now += 100_000 / rate
            concurrency.succeeded(now, 100_000)
            seen.append(concurrency.limit)
        return seen

    def test_a_line_of_high_latency_gets_more_at_once(self) -> None:
        seen = self.on_a_line(ConcurrencyLimit(1, 16, 4), each=100_000, line=1_000_000, seconds=600)
        assert max(seen) >= 10
        assert seen[-1] >= 9

    def test_a_full_line_keeps_few(self) -> None:
        seen = self.on_a_line(
            ConcurrencyLimit(1, 16, 2), each=1_000_000, line=100_000, seconds=3_600
        )
        assert max(seen) <= 3

    @pytest.mark.parametrize("at_first", [4, 16])
    def test_a_full_line_comes_down_to_as_few_as_fill_it(self, at_first: int) -> None:
        """A live fragment shares the line with the other uploads in flight."""
        concurrency = ConcurrencyLimit(1, 16, at_first)
        seen = self.on_a_line(concurrency, each=350_000, line=1_000_000, seconds=1_800)
        settled = seen[len(seen) // 2 :]
        assert set(settled) <= {2, 3, 4}  # 3 fill it; the steps around it are tried again and again
        assert settled.count(3) > 0.8 * len(settled)

    def test_one_that_stalls_never_blocks_all_others(self) -> None:
        seen = self.on_a_line(ConcurrencyLimit(1, 16, 4), each=9e9, line=1_000_000, seconds=3_600)
        assert min(seen) == 2
        seen = self.on_a_line(ConcurrencyLimit(1, 1, 1), each=9e9, line=1_000_000, seconds=600)
        assert set(seen) == {1}

    def test_steps_down_together_lose_little(self) -> None:
        """A line on which each one more brings a little: sixteen carry 94 % of what it can."""
        concurrency, now, carried = ConcurrencyLimit(1, 16, 16), 0.0, 0.0
        for _ in range(3_000):
            concurrency.started(now)
            now += 0.1 * (concurrency.limit + 1) / concurrency.limit
            carried += 100_000
            concurrency.succeeded(now, 100_000)
        assert carried / now > 0.95 * (1_000_000 * 16 / 17)

    def test_failures_halve_it_down_to_the_bound(self) -> None:
        concurrency = ConcurrencyLimit(2, 16, 16)
        halved = []
        for _ in range(5):
            concurrency.failed()
            halved.append(concurrency.limit)
        assert halved == [8, 4, 2, 2, 2]

    def test_it_comes_back_after_many_resets(self) -> None:
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        chance = random.Random(seed)
        concurrency, now = ConcurrencyLimit(1, 16, 8), 0.0
        for _ in range(2_000):  # three of ten requests are reset
            concurrency.started(now)
            now += 1
            if chance.random() < 0.3:
                concurrency.failed()
            else:
                concurrency.succeeded(now, 100_000)
        concurrency.idle()  # the line's own clock starts again
        seen = self.on_a_line(concurrency, each=100_000, line=1_000_000, seconds=600)
        assert seen[-1] >= 9


class TestAdaptiveTimeout:
    def test_a_slow_line_gets_enough_time_in_the_end(self) -> None:
        timeout, size, line = AdaptiveTimeout(), 2_500_000, 8_000  # 64 kbit/s
        tries = 0
        while timeout.timeout_s(size) < size / line:
            timeout.timed_out()
            tries += 1
            assert tries < 10
        timeout.succeeded(size, size / line)
        assert timeout.timeout_s(size) >= size / line  # and not forgotten

    def test_it_never_grows_without_bound(self) -> None:
        timeout = AdaptiveTimeout()
        for _ in range(1_000):
            timeout.timed_out()
        assert timeout.timeout_s(1 << 32) <= MAX_TIMEOUT_S


class TestRequestTimeout:
    def test_it_starts_short_and_doubles_up_to_a_minute(self) -> None:
        timeout = RequestTimeout()
        seen = []
        for _ in range(6):
            seen.append(timeout.timeout_s(0))
            timeout.timed_out()
        assert seen == [5, 10, 20, 40, 60, 60]

    def test_a_slow_server_is_answered_in_the_end_and_keeps_its_time(self) -> None:
        timeout, needs_s = RequestTimeout(), 13.0
        while timeout.timeout_s(0) < needs_s:
            timeout.timed_out()
        timeout.succeeded(needs_s)
        assert timeout.timeout_s(0) > needs_s
        timeout.succeeded(0.05)
        assert timeout.timeout_s(0) == 5

    def test_a_full_batch_has_the_time_of_a_thin_line(self) -> None:
        assert RequestTimeout().timeout_s(256 << 10) > (256 << 10) / 8_000


class TestScheduler:
    @pytest.fixture
    def spool(self, tmp_path: Path) -> Spool:
        # 100 fragments of 4 s; live are those of the last 60 s
        spool = open_spool(tmp_path, "e1", SpoolLimits(free_floor_bytes=0, free_floor_s=0))
        for seq in range(100):
            spool.store(*fragment(seq), started())
        return spool

    @staticmethod
    def order(spool: Spool, scheduler: UploadScheduler, count: int) -> list[int]:
        out = []
        for _ in range(count):
            row = scheduler.pick(scheduler.candidates(spool, 0), set())
            assert row is not None
            spool.uploaded(row.id)
            out.append(row.seq)
        return out

    def test_live_stays_current_while_a_share_drains_the_backlog(self, spool: Spool) -> None:
        now_ms = [T0_MS + 400_000]
        scheduler = UploadScheduler("live", backlog_share=0.25, now_ms=lambda: now_ms[0])
        order = self.order(spool, scheduler, 20)
        live, backlog = [s for s in order if s >= 85], [s for s in order if s < 85]
        assert live == list(range(85, 85 + len(live)))
        assert backlog == list(range(len(backlog)))  # from its oldest end
        assert len(live) == 15 and len(backlog) == 5
        assert self.order(spool, scheduler, 3) == [5, 6, 7]  # all of it, where nothing is live

    def test_nothing_for_the_backlog_while_live_waits(self, spool: Spool) -> None:
        scheduler = UploadScheduler("live", backlog_share=0, now_ms=lambda: T0_MS + 400_000)
        assert self.order(spool, scheduler, 16) == [*range(85, 100), 0]

    def test_oldest_first(self, spool: Spool) -> None:
        scheduler = UploadScheduler("oldest", now_ms=lambda: T0_MS + 400_000)
        assert self.order(spool, scheduler, 5) == [0, 1, 2, 3, 4]

    def test_what_is_in_flight_is_not_taken_twice(self, spool: Spool) -> None:
        scheduler = UploadScheduler("live", now_ms=lambda: T0_MS + 400_000)
        taken: set[FragmentId] = set()
        for _ in range(100):
            row = scheduler.pick(scheduler.candidates(spool, len(taken)), taken)
            assert row is not None
            assert row.id not in taken
            taken.add(row.id)
        assert scheduler.pick(scheduler.candidates(spool, len(taken)), taken) is None


class TestLink:
    def test_a_dead_link_is_tried_for_ever_at_bounded_delays(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr("edge_bridge.upload.link.time.monotonic", lambda: now[0])
        link = Link("s3")
        delays = []
        for _ in range(2_000):
            link.failed(StoreError("no answer"))
            delays.append(link._not_before_s - now[0])
            now[0] = link._not_before_s
        assert max(delays) <= 1.5 * BACKOFF.longest_s
        assert min(delays[20:]) >= 0.5 * BACKOFF.longest_s
        assert len(set(delays[20:])) > 1_000  # jittered

    def test_another_kind_of_failure_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        link = Link("s3")
        for _ in range(3):
            link.failed(StoreError("no answer."))
        for _ in range(3):
            link.failed(CredentialsError("the credentials are refused (ExpiredToken)."))
        assert caplog.text.count("no answer") == 1
        assert caplog.text.count("ExpiredToken") == 1


def test_temperatures_are_read_where_they_can_be(tmp_path: Path) -> None:
    zone = tmp_path / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("x86_pkg_temp\n")
    (zone / "temp").write_text("54321\n")
    broken = tmp_path / "thermal" / "thermal_zone1"
    broken.mkdir()
    (broken / "temp").write_text("nothing")
    disk = tmp_path / "hwmon" / "hwmon0"
    disk.mkdir(parents=True)
    (disk / "name").write_text("nvme")
    (disk / "temp1_input").write_text("40850")
    (disk / "temp1_label").write_text("Composite")
    (disk / "temp2_input").write_text("999999999")
    found = [(one.name, one.celsius) for one in temperatures(tmp_path)]
    assert found == [("x86_pkg_temp", 54), ("nvme Composite", 41)]
    assert temperatures(tmp_path / "none") == []
