"""Run as a program: small stand-ins for web, worker and scheduler that start fast."""

import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Alive(BaseHTTPRequestHandler):
    """Answers every GET with the number of its process."""

    def do_GET(self) -> None:
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def serve(port: int) -> None:
    HTTPServer(("127.0.0.1", port), Alive).serve_forever()


def work(notes: Path) -> None:
    """A worker with a horse in a process group of its own that ignores SIGTERM, as a hung job would."""
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    horse = subprocess.Popen([sys.executable, "-c", program], process_group=0, stdout=subprocess.PIPE)
    assert horse.stdout is not None
    horse.stdout.readline()  # from now on it doesn't listen
    with notes.open("a") as file:
        file.write(f"{os.getpid()} {horse.pid}\n")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    time.sleep(60)


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(60)


def main(name: str, *rest: str) -> None:
    if name == "serve":
        serve(int(rest[0]))
    if name == "work":
        work(Path(rest[0]))
    if name == "stubborn":
        stubborn()
    if name == "crash":
        sys.exit("the settings of the web are wrong")
    time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
