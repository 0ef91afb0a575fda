"""The demo: all parts of Vigil on this machine, from cameras to the web page."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from domain.errors import VigilError
from local import background, dashboard
from local.demo_cameras import DemoCameras
from local.demo_catalog import DEMO_LOGIN, ask_catalog, ensure_audit_key, ensure_demo_user
from local.demo_edge import EDGE, edge_program
from local.devices import LocalDevices
from local.folder import project_root
from local.ports import HOST
from local.program import Program, vigil, worker
from local.service import Report
from local.stack import Stack
from local.supervisor import SupervisedChild, Supervisor

SITE = "demo/campus"
WORKERS = ("assemble", "heal", "join", "index")
PAGE_WITHIN_S = 120


class Demo:
    """Starts all parts in order, supervises them, stops them in reverse order."""

    def __init__(
        self,
        data: Path,
        *,
        cameras: DemoCameras,
        ports: Mapping[str, int],
        fresh: bool,
        report: Report,
    ) -> None:
        self._cameras = cameras
        self._report = report
        self._stack = Stack(data, ports=ports, fresh=fresh, report=report, devices=True)
        self._folder = self._stack.folder
        self._programs: list[Program] = []
        self._devices: LocalDevices | None = None
        self._env: dict[str, str] = {}
        self._ended = threading.Event()
        self.url = ""
        self.edge_url = ""
        """The edge's own page; its password is `key`."""
        self.key = ""
        self.password = ""
        """Of the user `login`."""
        self.login = DEMO_LOGIN

    @property
    def camera_ids(self) -> list[str]:
        """The cameras as tenant/site/camera."""
        return [f"{SITE}/{name}" for name in self._cameras.names]

    def start(self) -> None:
        """Start everything; returns once the page answers. Raises VigilError or KeyboardInterrupt.

        SIGTERM counts as Ctrl-C from here on.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        self._stack.start()
        background.record_owner(self._folder)
        port = self._stack.ports.take("web")
        self.url = f"http://{HOST}:{port}/"
        own = {
            "VIGIL_WEB_HOST": HOST,
            "VIGIL_WEB_PORT": str(port),
            "VIGIL_METRICS_PORT": "0",
            # Short waits: the edge is on the same machine, and people are watching.
            "VIGIL_GRACE_MS": "10000",
        }
        self._devices = LocalDevices(self._folder, self._stack.ports)
        own |= self._devices.prepare() | self._devices.config_key_settings
        self._stack.write_env(own)
        self._env = {**os.environ, **self._stack.env, **own, "PYTHONUNBUFFERED": "1"}
        dashboard.build(self._report, self._folder.logs / "dashboard.log")
        addresses = self._cameras.start(self._folder.path, self._stack.ports, self._report)
        self._prepare_cloud()
        # The page first: on a small machine, all parts at once would start slowly.
        self._start_page()
        self._start_cloud()
        self._start_edge(addresses)

    def watch(self) -> None:
        """Restart the parts that end, until SIGTERM or Ctrl-C."""
        children: list[SupervisedChild] = [*self._stack.services.values(), *self._programs]
        if self._cameras.server:
            children.append(self._cameras.server)
        supervisor = Supervisor(children, self._report)
        while not self._ended.wait(1):
            supervisor.check()

    def stop(self) -> None:
        """Stop all parts: the edge and the cameras first, the stores last."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the stop
        for program in self._programs:
            program.process.ask_to_stop()
        for program in reversed(self._programs):
            program.process.stop()
        if self._cameras.server:
            self._cameras.server.stop()
        with contextlib.suppress(OSError):
            (self._folder.path / background.RECORD).unlink(missing_ok=True)
        self._stack.stop()

    def _interrupt(self, *_: object) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        raise KeyboardInterrupt

    def _prepare_cloud(self) -> None:
        topics = self._begin("topics", "ensure")
        try:
            self.key = ask_catalog(
                self._env["VIGIL_DATABASE_URL"],
                dict(zip(self.camera_ids, self._cameras.titles, strict=True)),
                self._folder.path / "api-key",
            )
            self.password = ensure_demo_user(
                self._env["VIGIL_DATABASE_URL"], self._folder.path / "demo-password"
            )
            assert self._devices is not None
            self._devices.make_config_key(self._run)
            self._report(f"The catalog knows {len(self.camera_ids)} cameras")
        finally:
            self._end(topics, "vigil topics ensure")
        self._report("The topics are created")

    def _start_page(self) -> None:
        self._launch(Program("web", worker("web.app"), self._folder, self._env))
        self._await_page()

    def _start_cloud(self) -> None:
        assert self._devices is not None
        self._launch(self._devices.worker(self._env))
        self._launch(Program("relay", vigil("relay", "run"), self._folder, self._env))
        for name in WORKERS:
            self._launch(Program(name, worker(f"agents.{name}"), self._folder, self._env))
        enforcing = vigil("retention", "enforce", "--every", "1h")
        self._launch(Program("retention", enforcing, self._folder, self._env))
        # Only the signer has the key: strangers reach the web workers.
        signing = vigil("audit", "sign", "--every", "1m")
        env = {**self._env, "VIGIL_AUDIT_KEY_FILE": str(ensure_audit_key(self._folder.path))}
        self._launch(Program("audit-signer", signing, self._folder, env))

    def _launch(self, program: Program) -> None:
        self._programs.append(program)
        program.launch()

    def _start_edge(self, addresses: list[str]) -> None:
        assert self._devices is not None
        assert self._stack.gate is not None
        port = self._stack.ports.take("edge-page")
        cameras = list(zip(self._cameras.names, addresses, strict=True))
        edge = edge_program(
            self._folder,
            self._env,
            site=SITE,
            cameras=cameras,
            port=port,
            password=self.key,
            endpoint=self._stack.gate.endpoint,
        )
        self._await_devices()
        if self._devices.enrol(SITE, EDGE, self._folder.path / "edge.yaml", self._run):
            self._report("The edge is enrolled by a one-time code")
        self._launch(edge)
        self.edge_url = f"http://{HOST}:{port}/"
        self._report("The edge is recording")

    def _await_page(self) -> None:
        web = self._programs[0].process

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"{self.url}readyz", timeout=2) as ready:  # noqa: S310
                    if ready.status != 200:
                        return False
                with urllib.request.urlopen(self.url, timeout=2) as page:  # noqa: S310
                    return bool(page.status == 200)
            except (OSError, socket.timeout):  # noqa: UP041
                return False

        web.wait_ready(answers, PAGE_WITHIN_S)

    def _await_devices(self) -> None:
        assert self._devices is not None
        device = next(each for each in self._programs if each.name == "device").process
        address = urlsplit(self._devices.url)
        assert address.hostname is not None
        assert address.port is not None
        place = address.hostname, address.port

        def answers() -> bool:
            try:
                with socket.create_connection(place, timeout=2):
                    return True
            except OSError:
                return False

        device.wait_ready(answers, PAGE_WITHIN_S)

    def _run(self, *arguments: str) -> str:
        """Run a command of the cloud to its end; return what it printed."""
        return self._end(self._begin(*arguments), f"vigil {' '.join(arguments[:2])}")

    def _begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, *vigil(*arguments)],
            cwd=project_root(),
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # only the demo gets Ctrl-C; it ends the command
        )

    def _end(self, command: "subprocess.Popen[str]", name: str) -> str:
        """Wait for a command, and return what it printed.

        If it failed, raise VigilError with the last line of that.
        """
        try:
            output, _ = command.communicate()
        except BaseException:
            command.kill()
            command.wait()
            raise
        if command.returncode:
            log = self._folder.logs / "commands.log"
            with log.open("a") as file:
                file.write(f"$ {name}\n{output}\n")
            last = (output.strip().splitlines() or ["it printed nothing"])[-1]
            raise VigilError(f"`{name}` failed ({last.removeprefix('vigil: ')}); see {log}.")
        return output


def run(
    data: Path,
    *,
    cameras: DemoCameras,
    ports: Mapping[str, int],
    fresh: bool,
    ready_file: Path | None,
    report: Report,
) -> None:
    """Run the demo until Ctrl-C or SIGTERM. Raises VigilError if a part cannot start."""
    began = time.monotonic()
    demo = Demo(data, cameras=cameras, ports=ports, fresh=fresh, report=report)
    if ready_file:
        ready_file.unlink(missing_ok=True)
    try:
        demo.start()
        took = time.monotonic() - began
        report(f"\nThe page is at {demo.url} (after {took:.0f} s).")
        report(f"Sign in as {demo.login} with the password {demo.password}")
        report(f"For programs there is the API key {demo.key}")
        report(f"The edge device's own page, with that key as password, is at {demo.edge_url}")
        report("Ctrl-C stops everything.\n")
        if ready_file:
            _write_ready(ready_file, demo)
        demo.watch()
    except KeyboardInterrupt:
        pass
    finally:
        report("Stopping.")
        demo.stop()
        if ready_file:
            ready_file.unlink(missing_ok=True)
        report("Everything has stopped.")


def _write_ready(path: Path, demo: Demo) -> None:
    about = {
        "url": demo.url,
        "api_key": demo.key,
        "login": demo.login,
        "password": demo.password,
        "cameras": demo.camera_ids,
        "edge_url": demo.edge_url,
        "pid": os.getpid(),
    }
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # an older one may be a link, or readable for others
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(partial, flags, 0o600), "w") as file:
        file.write(json.dumps(about) + "\n")
    partial.replace(path)
