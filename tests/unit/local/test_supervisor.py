"""A child that ends is restarted, with longer delays while it keeps ending.

ended       | 1 s | started, ended | 2 s | started, ended | 4 s | ... 30 s at most
"""

from domain.errors import VigilError
from local.supervisor import STABLE_S, Supervisor


class SupervisedChild:
    name = "worker"

    def __init__(self) -> None:
        self.running = True
        self.launches = 0
        self.fails = False

    def launch(self) -> None:
        self.launches += 1
        if self.fails:
            raise VigilError("its port is busy")
        self.running = True


class Scene:
    def __init__(self, spread: float = 1.0) -> None:
        self.now = 0.0
        self.child = SupervisedChild()
        self.reports: list[str] = []
        self.supervisor = Supervisor(
            [self.child], self.reports.append, clock=lambda: self.now, spread=lambda: spread
        )

    def wait(self) -> float:
        """End the child and return after how long it is started again."""
        self.child.running = False
        self.supervisor.check()
        before, began = self.child.launches, self.now
        while self.child.launches == before:
            self.now += 0.25
            self.supervisor.check()
        return self.now - began


def test_waits_double_up_to_the_longest() -> None:
    scene = Scene()
    assert [scene.wait() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert scene.reports[0] == "worker ended; restarting it in 1.0 s"


def test_waits_are_spread_over_half_of_their_length() -> None:
    scene = Scene(spread=0.0)
    assert [scene.wait() for _ in range(3)] == [0.5, 1, 2]


def test_a_child_that_ran_long_enough_starts_with_the_first_delay() -> None:
    scene = Scene()
    scene.wait()
    scene.wait()
    scene.now += STABLE_S
    assert scene.wait() == 1


def test_a_failed_start_is_reported_and_retried() -> None:
    scene = Scene()
    scene.child.fails = True
    scene.wait()
    assert scene.reports[-1] == ("worker cannot start: its port is busy; restarting it in 2.0 s")
    scene.child.fails = False
    scene.now += 2
    scene.supervisor.check()
    assert scene.child.running


def test_a_running_child_is_not_restarted() -> None:
    scene = Scene()
    for _ in range(100):
        scene.now += 1
        scene.supervisor.check()
    assert scene.child.launches == 0
    assert scene.reports == []
