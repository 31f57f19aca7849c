"""Real client libraries against the real gateway over simulated model servers.

Every process listens on a free port that it names on its standard output; nothing sleeps for a fixed time.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("PLIMSOLL", str(ROOT / "target" / "debug" / "plimsoll"))
MODEL = "llama-sim"
ADAPTERS = ["sql", "poet"]


def until(condition, what, seconds=20.0):
    """Waits for a condition; the limit only ends a test that would hang."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(0.02)


class Process:
    """A plimsoll process, its output read line by line."""

    def __init__(self, *arguments):
        self.lines = []
        self.errors = []
        self.process = subprocess.Popen(
            [BINARY, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for stream, kept in ((self.process.stdout, self.lines), (self.process.stderr, self.errors)):
            threading.Thread(target=self._keep, args=(stream, kept), daemon=True).start()

    @staticmethod
    def _keep(stream, kept):
        for line in stream:
            kept.append(line.rstrip("\n"))

    def find(self, pattern, count=1):
        """Waits until `count` lines of output match, and returns the first group of each."""

        def found():
            if self.process.poll() is not None:
                raise AssertionError(f"ended early with {self.process.returncode}: {self.errors[-5:]}")
            matches = [match.group(1) for line in list(self.lines) if (match := re.search(pattern, line))]
            return matches if len(matches) >= count else None

        return until(found, f"{pattern} in the output")

    def terminate(self):
        self.process.terminate()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)

    def wait(self, seconds=30):
        return self.process.wait(seconds)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Sims:
    """Simulated servers in one process."""

    def __init__(self, count=1, *arguments):
        adapters = [part for name in ADAPTERS for part in ("--adapter", name)]
        self.process = Process(
            "sim", "--listen", "127.0.0.1:0", "--count", str(count), "--model", MODEL, *adapters, *arguments
        )
        self.urls = self.process.find(r"(http://\S+)", count)

    def faults(self, url, **faults):
        request = urllib.request.Request(
            url + "/admin/config",
            data=json.dumps(faults).encode(),
            headers={"content-type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200


class Gateway:
    """The gateway over some URLs."""

    def __init__(self, urls, *arguments):
        endpoints = [part for url in urls for part in ("--endpoint", url)]
        self.process = Process(
            "up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--metrics-interval", "20", *endpoints, *arguments
        )
        self.url = self.process.find(r"^gateway\s+(\S+)")[0]
        self.admin = self.process.find(r"^admin\s+(\S+)")[0]

    @property
    def openai_url(self):
        return self.url + "/v1"

    def get(self, path):
        with urllib.request.urlopen(self.admin + path, timeout=10) as answer:
            return answer.read().decode()

    def metric(self, name, **labels):
        """Sum of the samples of a metric whose labels match."""
        total = 0.0
        for line in self.get("/metrics").splitlines():
            match = re.match(r"([a-z_]+)(?:\{(.*)\})? (\S+)$", line)
            if not match or match.group(1) != name:
                continue
            found = dict(re.findall(r'(\w+)="([^"]*)"', match.group(2) or ""))
            if all(found.get(key) == value for key, value in labels.items()):
                total += float(match.group(3))
        return total

    def in_flight(self):
        return self.metric("plimsoll_endpoint_inflight_requests")

    def until_scraped(self, count):
        def fresh():
            pools = json.loads(self.get("/debug/endpoints"))["pools"]
            endpoints = [endpoint for pool in pools.values() for endpoint in pool]
            return len([e for e in endpoints if e["signal_age_ms"] is not None and e["models"]]) >= count

        until(fresh, f"{count} endpoints to be scraped")
        return self


@pytest.fixture
def stack():
    """Starts sims and gateways that end with the test."""
    started = []

    class Stack:
        def sims(self, count=1, *arguments):
            sims = Sims(count, *arguments)
            started.append(sims.process)
            return sims

        def gateway(self, urls, *arguments):
            gateway = Gateway(urls, *arguments)
            started.append(gateway.process)
            return gateway

    yield Stack()
    for process in reversed(started):
        process.stop()


@pytest.fixture(scope="module")
def served():
    """One gateway over two fast simulated servers, shared by the tests of a module."""
    sims = Sims(2, "--time-scale", "20")
    gateway = Gateway(sims.urls).until_scraped(2)
    yield gateway
    gateway.process.stop()
    sims.process.stop()
