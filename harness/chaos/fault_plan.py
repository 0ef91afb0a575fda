"""What goes wrong in a chaos run, and when: a plan that follows from the seed alone."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["kill", "stall", "stop", "s3"]
RECOVER_S = 6.0
"""The plan's last stretch stays free of new faults."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault: what, of target, from when, for how long; `how` is a detail of its kind."""

    at_s: float
    kind: Kind
    target: str
    for_s: float
    how: str = ""

    def __str__(self) -> str:
        how = f" ({self.how})" if self.how else ""
        return f"{self.at_s:6.1f} s {self.kind} {self.target}{how} for {self.for_s:.1f} s"


def plan(
    dice: random.Random,
    seconds: float,
    workers: Sequence[str],
    *,
    every_s: float,
    session_s: float,
) -> list[Planned]:
    """Return the faults of a run: first one of each kind in any order, then at random.

    Kafka and PostgreSQL are away 5 to 30 s, less in a short run; each is back before it goes
    again.
    """
    longest_s = min(30.0, max(6.0, seconds / 6))
    kinds: dict[str, tuple[Kind, float]] = dict.fromkeys(workers, ("kill", 1.0))
    kinds |= {f"stall {name}": ("stall", 0.5) for name in workers if name.startswith("assemble")}
    kinds |= {"kafka": ("stop", 1.5), "postgres": ("stop", 1.5)}
    kinds |= {f"s3 {how}": ("s3", 1.0) for how in ("error", "reset", "hang")}
    first = list(kinds)
    dice.shuffle(first)
    free_at: dict[str, float] = {}
    planned = []
    at_s = every_s * (0.3 + dice.random())
    while at_s < seconds - RECOVER_S:
        name = first.pop() if first else _draw(dice, kinds)
        kind, _ = kinds[name]
        fault = _fault(dice, at_s, name, kind, (longest_s, session_s))
        group = "s3" if kind == "s3" else fault.target
        if free_at.get(group, 0.0) <= at_s:
            planned.append(fault)
            free_at[group] = at_s + fault.for_s + 3
        at_s += dice.expovariate(1 / every_s)
    return planned


def _draw(dice: random.Random, kinds: Mapping[str, tuple[Kind, float]]) -> str:
    return dice.choices(list(kinds), [weight for _, weight in kinds.values()])[0]


def _fault(
    dice: random.Random, at_s: float, name: str, kind: Kind, lengths: tuple[float, float]
) -> Planned:
    longest_s, session_s = lengths
    match kind:
        case "kill":
            return Planned(at_s, kind, name, dice.choice((0.0, 0.0, 3 * dice.random())))
        case "stall":
            target = name.removeprefix("stall ")
            return Planned(at_s, kind, target, session_s + dice.uniform(1, 5))
        case "stop":
            how = dice.choice(("SIGKILL", "asked"))
            return Planned(at_s, kind, name, dice.uniform(5, longest_s), how)
        case "s3":
            how = name.removeprefix("s3 ")
            return Planned(at_s, kind, "s3", dice.uniform(3, longest_s), how)
