"""Playing live: how soon voices sound after a note, how well notes keep their time, and what hours and storms do.

`python tests/benchmarks/live.py` prints distributions (p50, p99, worst). A note goes the whole way: a port in memory,
the loop, the network, the sender, the port. In the same run: one event of notochord, with its own network of the
published size, untrained (`pip install --no-deps notochord` and what it imports, at --notochord FOLDER if that is
elsewhere), and a bare loop over torch's layers. `--busy` keeps all cores busy with other work (nice 10). `--soak
MINUTES` plays as long, and `--storm` sends 10,000 random messages in a minute.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from machine import describe

from composer.generation.composer import open_model
from composer_live.command import keep_time
from composer_live.jam import Jam, Manner
from composer_live.ports import MemoryPorts
from composer_live.receiving import Receiver
from composer_live.sending import Sender
from composer_live.session import Session
from composer_live.values import Setup
from composer_live.wiring import Wanted, Wiring

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def show(name: str, seconds: list[float]) -> None:
    """Print a distribution in milliseconds."""
    if not seconds:
        print(f"{name:58}  none")
        return
    p50, p99, worst = np.percentile(np.array(seconds) * 1000, [50, 99, 100])
    print(f"{name:58} {len(seconds):6,}  p50 {p50:7.2f}  p99 {p99:7.2f}  worst {worst:7.2f} ms", flush=True)


@contextmanager
def play(model: str, mode: str, **more: object) -> Iterator[tuple[Jam, MemoryPorts]]:
    """A session that runs in this thread's place, with ports in memory."""
    generator, ports = open_model(model), MemoryPorts()
    request = replace(generator.suggested, seed=1, key="C", time_signature="4/4")
    sender = Sender(None)
    session = Session(generator, Setup(mode, request=generator.resolve(request), tempos=((0, 120.0),), **more))
    session.records = False
    jam = Jam(session, sender, Receiver(), Manner())
    wiring = Wiring(ports, Wanted(), jam, sender)
    sender.late = []
    with keep_time():
        sender.start()
        jam.start()
        running = threading.Thread(target=jam.run)
        running.start()
        try:
            yield jam, ports
        finally:
            jam.ends = True
            running.join()
            sender.close()
            wiring.close()


def measure_latency(notes: int) -> None:
    """From a note in to the first voice out."""
    rng, waits = random.Random(1), []
    with play("chorales", "harmonize") as (_, ports):
        for number in range(notes + 20):
            pitch, sent = SCALE[number % 8] + 12 * (number // 8 % 2), len(ports.sent.get("Synth", ()))
            began = time.monotonic()
            ports.play("Keys", 0x90, pitch, 90)
            while not any(m[0] & 0xF0 == 0x90 for _, m in ports.sent.get("Synth", [])[sent:]):
                time.sleep(0.0002)
            first = next(t for t, m in ports.sent["Synth"][sent:] if m[0] & 0xF0 == 0x90)
            if number >= 20:  # the first ones compile
                waits.append(first - began)
            time.sleep(rng.uniform(0.02, 0.1))
            ports.play("Keys", 0x80, pitch, 0)
            time.sleep(0.01)
    show("note in to first voice out: chorales, harmonize", waits)


def measure_jitter(seconds: float) -> None:
    """How late notes are sent, against the clock, while the network writes bars."""
    for model, mode in (("tunes", "continue"), ("chorales", "accompany")):
        with play(model, mode) as (jam, ports):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for pitch in SCALE[:3] if mode == "continue" else SCALE:
                    ports.play("Keys", 0x90, pitch, 90)
                    time.sleep(0.2)
                    ports.play("Keys", 0x80, pitch, 0)
                time.sleep(4 if mode == "continue" else 0)
            late = list(jam.sender.late or ())
        show(f"notes sent after their time: {model}, {mode}", late)


def measure_sleep(count: int) -> None:
    """How late a thread wakes that only sleeps: what the machine leaves to any program."""
    late = []
    for _ in range(count):
        until = time.monotonic() + 0.02
        time.sleep(0.02)
        late.append(time.monotonic() - until)
    show("a thread that only sleeps wakes late", late)


def measure_others(events: int, folder: str | None) -> None:
    """One event of notochord, and the steps of an event by torch's layers."""
    import torch

    show("bare torch: 3 x GRU 512, five steps and draws", list(_time_torch(torch, events)))
    if folder:
        sys.path.insert(0, folder)
    try:
        from notochord import Notochord
    except ImportError as error:
        print(f"notochord: not measured ({error})")
        return
    model = Notochord().eval()
    waits = []
    with torch.no_grad():
        model.reset()
        for number in range(events + 10):
            began = time.perf_counter()
            model.feed(1, SCALE[number % 8], 0.1, 90)
            model.query()
            waits.append(time.perf_counter() - began)
    show("notochord: one event in and one out, untrained", waits[10:])


def _time_torch(torch: object, events: int) -> Iterator[float]:
    layers, head, state = torch.nn.GRU(512, 512, 3, batch_first=True).eval(), torch.nn.Linear(512, 251), None
    embedding, token = torch.nn.Embedding(251, 512), torch.zeros(1, 1, dtype=torch.long)
    with torch.no_grad():
        for number in range(events + 10):
            began = time.perf_counter()
            for _ in range(5):
                out, state = layers(embedding(token), state)
                token = torch.multinomial(torch.softmax(head(out[:, 0]), -1), 1)
            if number >= 10:
                yield time.perf_counter() - began


def storm(messages: int, seconds: float) -> None:
    """Random messages: nothing may sound at the end."""
    rng, sounding = random.Random(1), set()
    with play("chorales", "harmonize") as (jam, ports):
        for _ in range(messages):
            status = rng.choice([0x90] * 4 + [0x80] * 8 + [0xB0, 0xC0, 0xE0]) | rng.randrange(16)
            pitch = rng.randrange(128) if status >= 0xB0 or rng.random() < 0.1 else rng.randrange(60, 66)
            ports.play("Keys", status, pitch, rng.randrange(128))
            if rng.random() < 0.001:
                jam.command("mode", rng.choice(["harmonize", "answer", "continue", "accompany", "loop"]))
            time.sleep(seconds / messages)
    for _, message in ports.sent["Synth"]:
        kind, note = message[0] & 0xF0, (message[0] & 0x0F, message[1])
        if kind == 0x90:
            sounding.add(note)
        elif kind == 0x80:
            sounding.discard(note)
    print(
        f"storm of {messages:,} messages in {seconds:.0f} s: {len(ports.sent['Synth']):,} sent, {len(sounding)} stuck"
    )


def soak(minutes: float) -> None:
    """Memory and delay, minute by minute."""
    tracemalloc.start()
    with play("tunes", "answer") as (jam, ports):
        for minute in range(round(minutes)):
            until = time.monotonic() + 60
            while time.monotonic() < until:
                for pitch in SCALE:
                    ports.play("Keys", 0x90, pitch, 90)
                    time.sleep(0.2)
                    ports.play("Keys", 0x80, pitch, 0)
                time.sleep(4)
            late, jam.sender.late = jam.sender.late or [0.0], []
            ports.sent.clear()
            show(f"minute {minute + 1}: {tracemalloc.get_traced_memory()[0] / 1e6:.1f} MB; notes sent late", late)


@contextmanager
def keep_busy() -> Iterator[None]:
    """Keep all cores busy with other work."""
    program = [sys.executable, "-c", "import os; os.nice(10)\nwhile True: sum(range(10000))"]
    others = [subprocess.Popen(program) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--notes", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--notochord")
    parser.add_argument("--storm", action="store_true")
    parser.add_argument("--soak", type=float, default=0)
    asked = parser.parse_args()
    print(f"{describe()}, load {os.getloadavg()[0]:.1f}{', both cores busy (nice 10)' if asked.busy else ''}")
    tasks: list[Callable[[], None]] = [
        lambda: measure_latency(asked.notes),
        lambda: measure_jitter(asked.seconds),
        lambda: measure_sleep(asked.notes),
        lambda: measure_others(asked.notes, asked.notochord),
    ]
    tasks += [lambda: storm(10_000, 60)] if asked.storm else []
    tasks += [lambda: soak(asked.soak)] if asked.soak else []
    for task in tasks:
        if asked.busy:
            with keep_busy():
                task()
        else:
            task()


if __name__ == "__main__":
    main()
