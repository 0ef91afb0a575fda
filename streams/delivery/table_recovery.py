"""Recovery of tables that reports when a changelog no longer holds all of its table.

A changelog is compacted and never deleted by age, so its log begins at 0. If it begins later, it
was emptied: by a wrong age limit, or by hand. Faust takes what is left for all of it.
A worker without the table on its disk then starts from nothing, without a log line. A changelog
that ends before what the disk has was deleted and made again. Faust then ends with a stack trace,
at each start.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from streams import metrics, table_disk
from streams.delivery.faust_private import RecoveryBase
from streams.process_exit import exit_process

REMEDY = (
    "Run `vigil reconcile`, which finds the fragments in S3, then `vigil camera windows --all`."
)


class CheckedRecovery(RecoveryBase):
    """Faust's recovery, which reports what a changelog lacks, counts it and continues."""

    async def recover_from(
        self, consumer: Any, known: Mapping[TP, int | None], ends: Mapping[TP, int]
    ) -> Mapping[TP, int]:
        """Return the offset after which each changelog is read; report what a changelog lacks."""
        begins = await consumer.earliest_offsets(*known)
        gone: dict[str, list[int]] = defaultdict(list)
        ahead: dict[str, list[int]] = defaultdict(list)
        offsets: dict[TP, int] = {}
        for tp, on_disk in known.items():
            begin = begins.get(tp) or 0
            end = ends.get(tp)
            offset = -1 if on_disk is None else on_disk
            if on_disk is None and begin > 0:
                gone[tp.topic].append(tp.partition)
            if on_disk is not None and end is not None and on_disk > end:
                ahead[tp.topic].append(tp.partition)
                offset = end
            offsets[tp] = max(offset, begin - 1)
        for topic, partitions in gone.items():
            self._report(topic, partitions, "emptied")
        for topic, partitions in ahead.items():
            self._report(topic, partitions, "made anew")
        return offsets

    async def crash(self, reason: BaseException) -> None:
        """End with one sentence where the tables' disk is at fault."""
        if problem := table_disk.disk_error_text(reason, self.app.conf.datadir):
            exit_process(problem)
        await super().crash(reason)

    def _report(self, topic: str, partitions: list[int], what: str) -> None:
        metrics.CHANGELOGS_CUT.labels(topic, what).inc(len(partitions))
        shown = ", ".join(map(str, partitions))
        if what == "emptied":
            self.log.error(
                "The changelog %s was emptied (partitions %s): its entries were deleted, by a "
                "person or by age, and this worker's disk has no copy. The worker continues "
                "without them: windows that were open get gaps. %s",
                topic,
                shown,
                REMEDY,
            )
        else:
            self.log.error(
                "The changelog %s ends before what this worker's disk has (partitions %s): it was "
                "deleted and created again, or lost its end. The worker continues with its disk. "
                "Keep its folder: another worker does not have those entries. "
                "If another one takes over: %s",
                topic,
                shown,
                REMEDY,
            )
