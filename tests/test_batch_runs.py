"""A batch ends with exactly the pieces that were asked for, whatever stopped it on the way."""

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest

from composer.generation.composer import open_model
from composer.generation.tasks import regenerate
from composer.io import formats
from composer.io.outputs import hold_lock
from composer.model import load, save
from composer.plugins.discovery import Plugin
from composer.plugins.offers import Offer
from composer.plugins.registry import registry

JOBS = """
[[job]]
model = "walks.safetensors"
count = {count}
bars = 2
key = ["C", "Dm"]

[[job]]
model = "walks.safetensors"
name = "picked"
count = 12
bars = 1
seed = 7
file = "{{name}}-{{index:02}}"
attempts = 2
keep = "best 3 by rules"
gates = {{notes_per_bar = [1, 12]}}
"""
PLAIN = ["--executor", "here", "--executor-option", "beside=0"]


@pytest.fixture
def here(tmp_path, monkeypatch, model_file):
    shutil.copy(model_file, tmp_path / "walks.safetensors")
    (tmp_path / "jobs.toml").write_text(JOBS.format(count=3))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder):
    """Every file but the catalogue, by its bytes."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    kept = [path for path in paths if path.name not in ("catalogue.sqlite", ".lock")]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def rows(folder, query):
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        return connection.execute(query).fetchall()


def mistake(ran, status=2):
    assert ran.status == status
    (line,) = ran.err.splitlines()
    assert line.startswith("composer: ")
    return line


# --- what comes of it -------------------------------------------------------------------------------------------------


def test_a_batch_is_its_pieces_a_catalogue_and_a_manifest(run, here):
    ran = run("batch", "jobs.toml", "--out", "out", *PLAIN)
    assert ran.status == 0
    assert ran.out.startswith("9 of 18 pieces done, ")
    found = content(here / "out")
    assert {f"0000/{n:06}.mid" for n in range(6)} < set(found)
    assert len([name for name in found if "picked" in name]) == 3
    assert set(found) == {"manifest.jsonl", *(name for name in found if name.endswith(".mid"))}
    lines = [json.loads(line) for line in (here / "out/manifest.jsonl").read_text().splitlines()]
    for line in lines:
        for name, about in line["files"].items():
            assert hashlib.sha256((here / "out" / name).read_bytes()).hexdigest() == about["sha256"]
    states = dict(rows(here / "out", "SELECT state, count(*) FROM pieces GROUP BY state"))
    assert states["done"] == len(lines) == 9


def test_a_piece_is_the_one_that_generate_writes(run, here):
    asked = 'bars = 3\nseed = 5\ncount = 4\nkey = "Dm"\nedition = 2\n'
    (here / "one.toml").write_text(f'[[job]]\nmodel = "walks.safetensors"\n{asked}')
    assert run("batch", "one.toml", "--out", "out", *PLAIN).status == 0
    line = ["--model", "walks.safetensors", "--seed", 5, "--bars", 3, "--key", "Dm"]
    assert run("generate", "x.mid", *line, "--index", 2).status == 0
    assert (here / "x.mid").read_bytes() == (here / "out/0000/000002.mid").read_bytes()


def test_a_piece_with_samplers_is_the_one_that_generate_writes(run, here):
    chain = 'temperature = 0.9\ntop-k = 9\nmirostat = 0.5\nmirostat-eta = 0.1\nrange = "C2:C6"\nending = true\n'
    (here / "one.toml").write_text(f'[[job]]\nmodel = "walks.safetensors"\nbars = 3\nseed = 5\nedition = 2\n{chain}')
    assert run("batch", "one.toml", "--out", "out", *PLAIN).status == 0
    line = ["--model", "walks.safetensors", "--seed", 5, "--bars", 3, "--temperature", ".90", "--top-k", 9]
    line += ["--mirostat", "0.5", "--mirostat-eta", "0.1", "--range", "C2:C6", "--ending"]
    assert run("generate", "x.mid", *line).status == 0
    assert (here / "x.mid").read_bytes() == (here / "out/0000/000000.mid").read_bytes()


def test_the_catalogue_makes_a_piece_again(run, here):
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    for stem, asked in rows(here / "out", "SELECT stem, asked FROM pieces WHERE state = 'done'"):
        formats.write([regenerate(open_model("walks.safetensors"), json.loads(asked))], here / "again.mid")
        assert (here / "again.mid").read_bytes() == (here / "out" / f"{stem}.mid").read_bytes()


def test_forms_and_two_formats(run, here):
    text = '[[job]]\nmodel = "walks.safetensors"\nbars = 2\nform = "AB"\nformats = ["mid", "midi"]\ntitle = "Two"\n'
    (here / "form.toml").write_text(text)
    assert run("batch", "form.toml", "--out", "out", *PLAIN).status == 0
    assert (here / "out/0000/000000.mid").read_bytes() == (here / "out/0000/000000.midi").read_bytes()
    assert formats.read_provenance(here / "out/0000/000000.mid")["title"] == "Two"


def test_the_same_line_does_nothing_twice_and_makes_what_is_gone(run, here):
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    before = content(here / "out")
    assert "; 0 made now" in run("batch", "jobs.toml", "--out", "out", *PLAIN).out
    (here / "out/0000/000001.mid").unlink()
    (here / "out/0000/000002.mid").write_bytes(b"MThd")
    assert "; 2 made now" in run("batch", "jobs.toml", "--out", "out", *PLAIN).out
    assert content(here / "out") == before


def test_what_a_power_cut_spoilt_is_made_again(run, here, monkeypatch):
    with monkeypatch.context() as cut:
        cut.setattr("composer_batch.folder.write_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert (
            run("batch", "jobs.toml", "--out", "out", *PLAIN).status != 0
        )  # all is done, but not on the disk for sure
    spoilt = here / "out/0000/000001.mid"
    whole = spoilt.read_bytes()
    spoilt.write_bytes(bytes(len(whole)))
    assert "; 1 made now" in run("batch", "jobs.toml", "--out", "out", *PLAIN).out
    assert spoilt.read_bytes() == whole


def test_the_size_of_chunks_and_the_executor_change_nothing(run, here, monkeypatch):
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    with monkeypatch.context() as small:
        small.setattr("composer_batch.scheduler._limit_chunk", lambda course, place: 5)
        assert run("batch", "jobs.toml", "--out", "five", *PLAIN).status == 0
    assert (
        run("batch", "jobs.toml", "--out", "pool", "--executor", "pool", "--executor-option", "workers=2").status == 0
    )
    assert content(here / "five") == content(here / "pool") == content(here / "out")


def test_the_plan_makes_nothing(run, here):
    shown = run("batch", "jobs.toml", "--out", "out", "--plan").out
    assert shown.startswith("18 pieces of 3 jobs: 18 by walks.safetensors\nabout ")
    assert json.loads(run("batch", "jobs.toml", "--plan", "--json").out)["pieces"] == 18
    assert not (here / "out").exists()


def test_the_catalogue_as_parquet(run, here):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (composer-midi[parquet])")
    assert run("batch", "jobs.toml", "--out", "out", "--parquet", *PLAIN).status == 0
    found = parquet.read_table(here / "out/catalogue.parquet").to_pylist()
    names = list(found[0])
    listed = ", ".join(f'"{name}"' for name in names)
    query = f"SELECT {listed} FROM pieces JOIN cells USING (cell) ORDER BY pieces.number"
    assert [tuple(row.values()) for row in found] == rows(here / "out", query)
    assert {row["state"] for row in found} == {"done", "passed over", "rejected"}
    columns = {column for _, column, *_ in rows(here / "out", "PRAGMA table_info(pieces)")}
    assert set(names) == columns - {"cell"} | {"job"}


def test_without_pyarrow_nothing_is_begun(run, here, monkeypatch):
    monkeypatch.setattr("composer_batch.reports.find_spec", lambda name: None)
    said = mistake(run("batch", "jobs.toml", "--out", "out", "--parquet", *PLAIN))
    assert "pip install 'composer-midi[parquet]'" in said
    assert not (here / "out").exists()


# --- gates ------------------------------------------------------------------------------------------------------------


def test_each_rejection_is_kept_with_its_reason(run, here):
    text = (
        '[[job]]\nmodel = "walks.safetensors"\nbars = 2\ncount = 6\nattempts = 3\ngates = {nats_per_note = [0, 0.001]}'
    )
    (here / "strict.toml").write_text(text)
    ran = run("batch", "strict.toml", "--out", "out", *PLAIN)
    assert ran.status == 0
    assert "0 of 6 pieces done, 6 rejected" in ran.out
    assert "rejected 18 × nats per note" in ran.out
    reasons = rows(here / "out", "SELECT number, attempt, reason FROM rejections")
    assert len(reasons) == 18
    assert all(reason.endswith("is not from 0 to 0.001") for *_, reason in reasons)
    assert "rejections: 18 × nats per note" in run("batch", "status", "out").out


def test_the_best_are_the_best_of_all(run, here):
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    (here / "all.toml").write_text(JOBS.format(count=3).replace('keep = "best 3 by rules"', ""))
    assert run("batch", "all.toml", "--out", "all", *PLAIN).status == 0
    query = "SELECT number FROM pieces WHERE state = 'done' AND number >= 6 ORDER BY rank, distance, number LIMIT 3"
    assert rows(here / "out", query) == rows(here / "all", query)


# --- going on ---------------------------------------------------------------------------------------------------------


def test_jobs_may_be_added_at_the_end_and_nowhere_else(run, here):
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    more = JOBS.format(count=3) + '[[job]]\nmodel = "walks.safetensors"\nbars = 1\nseed = 9\n'
    (here / "more.toml").write_text(more)
    assert run("batch", "more.toml", "--out", "out", *PLAIN).out.startswith("10 of 19 pieces done")
    said = mistake(run("batch", "jobs.toml", "--out", "out", *PLAIN), 1)
    assert said == (
        "composer: out: was begun with another file of jobs (job 3 differs); jobs may be added at its end, "
        "or name another folder."
    )


def test_another_model_and_another_version_are_refused(run, here, monkeypatch):
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    model = load(here / "walks.safetensors")
    weights = {name: value * 1.5 for name, value in model.weights.items()}
    save(replace(model, weights=weights), here / "walks.safetensors")
    assert "the model 'walks.safetensors' has changed since" in mistake(run("batch", "jobs.toml", "--out", "out"), 1)
    save(model, here / "walks.safetensors")
    monkeypatch.setattr("composer_batch.catalogue.__version__", "99")
    assert "was begun with composer" in mistake(run("batch", "jobs.toml", "--out", "out"), 1)


def test_two_runs_in_one_folder(run, here):
    with hold_lock(here / "out"):
        said = mistake(run("batch", "jobs.toml", "--out", "out", *PLAIN), 1)
        assert said == "composer: out: another run is at work there; let it end, or wait for it with --wait."
    line = [sys.executable, "-m", "composer", "batch", "jobs.toml", "--out", "out", "--wait", *PLAIN]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    made = sorted(process.communicate()[0].decode().split("; ")[1].split()[0] for process in both)
    assert made == ["0", "18"]


def test_somebodys_folder_and_no_folder(run, here):
    (here / "mine").mkdir()
    (here / "mine/letter.txt").write_text("dear")
    assert "holds other things ('letter.txt')" in mistake(run("batch", "jobs.toml", "--out", "mine"), 1)
    assert "cannot be used as a folder" in mistake(run("batch", "jobs.toml", "--out", "jobs.toml"))
    assert "is not the catalogue of a batch" in mistake(_with_catalogue(run, here, b"no database at all" * 99))


def _with_catalogue(run, here, data):
    (here / "odd").mkdir()
    (here / "odd/catalogue.sqlite").write_bytes(data)
    return run("batch", "jobs.toml", "--out", "odd")


STRANGE = [
    """UPDATE pieces SET state = 'dropping', stem = '../mine', files = '{"mid": ["", 0]}'""",
    """UPDATE pieces SET state = 'dropping', stem = '0000/..', files = '{"/../../mine.mid": ["", 0]}'""",
    "UPDATE pieces SET files = '{'",
    "UPDATE pieces SET files = NULL WHERE state = 'done'",
    "UPDATE pieces SET seed = x'00'",
    "UPDATE cells SET plain = '[]'",
]


@pytest.mark.parametrize("change", STRANGE)
def test_the_catalogue_of_a_stranger_leads_nowhere(run, here, change):
    (here / "mine.mid").write_text("mine")
    run("batch", "jobs.toml", "--out", "out", *PLAIN)
    with sqlite3.connect(here / "out/catalogue.sqlite") as connection:
        connection.execute(change)
    said = mistake(run("batch", "jobs.toml", "--out", "out", *PLAIN))
    assert "out/catalogue.sqlite: corrupt, or not a catalogue" in said
    assert (here / "mine.mid").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_read_only_output(run, here):
    assert "cannot be written to" in mistake(run("batch", "jobs.toml", "--out", "/proc/self/pieces"))


def test_a_full_disk_is_one_sentence_and_harms_nothing(run, here, monkeypatch):
    written = []

    def full(path, data, write=Path.write_bytes):
        written.extend([path] if ".scratch" in path.parts else [])
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        return write(path, data)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_bytes", full)
        ran = run("batch", "jobs.toml", "--out", "out", "--quiet", *PLAIN)
    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert "No space left on device" in ran.err
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    assert run("batch", "jobs.toml", "--out", "whole", *PLAIN).status == 0
    assert content(here / "out") == content(here / "whole")


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # as on a full disk, no file grows any more
from composer.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of files")
def test_a_catalogue_that_cannot_grow_is_one_sentence_and_harms_nothing(run, here):
    line = ["batch", "jobs.toml", "--out", "out", "--quiet", *PLAIN]
    (here / "jobs.toml").write_text(JOBS.format(count=60))
    uncounted = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ran = subprocess.run([sys.executable, "-c", LIMITED, *line], capture_output=True, text=True, env=uncounted)
    assert ran.returncode == 2
    assert ran.stderr.startswith("composer: out/catalogue.sqlite: ")
    assert ran.stderr.count("\n") == 1
    assert run(*line).status == 0
    assert run("batch", "jobs.toml", "--out", "whole", "--quiet", *PLAIN).status == 0
    assert content(here / "out") == content(here / "whole")


def test_a_catalogue_that_somebody_else_holds(run, here, monkeypatch):
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    monkeypatch.setattr("composer_batch.schema.WAIT", 0.1)
    holder = sqlite3.connect(here / "out/catalogue.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    for line in (["batch", "jobs.toml", "--out", "out", *PLAIN], ["batch", "status", "out"]):
        assert "is in use (database is locked); wait until the other run ends" in mistake(run(*line))
    holder.close()
    assert "; 0 made now" in run("batch", "jobs.toml", "--out", "out", *PLAIN).out


def test_shards_share_the_pieces(run, here):
    (here / "many.toml").write_text('[[job]]\nmodel = "walks.safetensors"\nbars = 1\ncount = 130\n')
    assert run("batch", "many.toml", "--out", "whole", *PLAIN).status == 0
    for part in (1, 2, 3):
        assert run("batch", "many.toml", "--out", "out", "--shard", f"{part}/3", "--quiet", *PLAIN).status == 0
    pieces = {name: of for name, of in content(here / "whole").items() if name.endswith(".mid")}
    assert {name: of for name, of in content(here / "out").items() if name.endswith(".mid")} == pieces
    shown = json.loads(run("batch", "status", "out", "--json").out)
    assert (shown["states"], shown["shards"]) == ({"done": 130}, "1/3, 2/3, 3/3")
    assert "was begun in 3 shards" in mistake(run("batch", "many.toml", "--out", "out"), 1)
    assert "was begun in 3 shards" in mistake(run("batch", "many.toml", "--out", "out", "--shard", "1/4"), 1)
    assert "was begun without shards" in mistake(run("batch", "many.toml", "--out", "whole", "--shard", "1/4"), 1)
    assert "must be such as 3/16" in mistake(run("batch", "jobs.toml", "--out", "new", "--shard", "5/4"))


def test_shards_keep_the_best_of_all_of_them(run, here):
    text = '[[job]]\nmodel = "walks.safetensors"\nbars = 1\ncount = 150\nkeep = "best 7 by likelihood"\n'
    (here / "best.toml").write_text(text)
    assert run("batch", "best.toml", "--out", "whole", *PLAIN).status == 0
    for part in (3, 1, 2):
        said = run("batch", "best.toml", "--out", "out", "--shard", f"{part}/3", *PLAIN).out
    assert "done, " in said
    pieces = {name: of for name, of in content(here / "whole").items() if name.endswith(".mid")}
    assert len(pieces) == 7
    assert {name: of for name, of in content(here / "out").items() if name.endswith(".mid")} == pieces
    assert sum(len(path.read_text().splitlines()) for path in here.glob("out/shards/*/manifest.jsonl")) == 7
    shown = json.loads(run("batch", "status", "out", "--json").out)
    assert shown["states"] == {"done": 7, "passed over": 143}
    assert "; 0 made now" in run("batch", "best.toml", "--out", "out", "--shard", "1/3", *PLAIN).out


# --- looking at it ----------------------------------------------------------------------------------------------------


def test_the_gallery_links_to_the_best(run, here, monkeypatch):
    assert run("batch", "jobs.toml", "--out", "a<b", *PLAIN).status == 0
    monkeypatch.setattr("composer_batch.reports.SUFFIX", ".htm")  # of which there is no exporter
    assert run("batch", "gallery", "a<b", "best.htm", "--top", 2).out == "best.htm: 2 pieces\n"
    page = (here / "best.htm").read_text()
    assert page.count("<a href=") == 2
    assert 'href="a%3Cb/0000/' in page
    assert "<b" not in page.replace("<body", "")


def test_the_gallery_is_the_page_of_an_exporter_where_there_is_one(run, here, monkeypatch):
    assert run("batch", "jobs.toml", "--out", "out", *PLAIN).status == 0
    found = registry()
    shown = []

    def page():
        def write(pieces, path):
            shown.extend(piece.provenance["title"] for piece in pieces)
            path.write_text("a page")

        return write

    offer = Offer("exporters", ".html", page, Plugin("pages", "pages", "1"))
    offers = {**found.offers, "exporters": {**found.offers["exporters"], ".html": offer}}
    for module in ("composer_batch.reports", "composer.io.formats"):
        monkeypatch.setattr(f"{module}.registry", lambda: replace(found, offers=offers))
    assert run("batch", "gallery", "out", "best.html", "--top", 2).status == 0
    assert (here / "best.html").read_text() == "a page"
    assert len(shown) == 2
    assert all(name.startswith("0000/") for name in shown)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "nowhere"], "nowhere: contains no batch."),
        (["retry", "nowhere"], "nowhere: contains no batch."),
        (["gallery", "nowhere", "x.html"], "nowhere: contains no batch."),
        (["gallery", "nowhere", "x.txt"], "a gallery must be a page"),
        (["jobs.toml"], "missing option --out"),
        (["run"], "missing file of jobs"),
        (["jobs.toml", "--out", "x", "--executor", "cloud"], "no plugin offers the executor 'cloud'"),
        (["jobs.toml", "--out", "x", "--executor-option", "beside"], "expected NAME=VALUE, such as"),
        (["jobs.toml", "--out", "x", "--time-limit", "0"], "must be more than 0 seconds"),
    ],
    ids=str,
)
def test_a_mistake_is_one_sentence(run, here, arguments, said):
    assert said in mistake(run("batch", *arguments))
    assert not (here / "x").exists()


def test_how_it_goes_as_json_and_quietly(run, here):
    assert run("batch", "jobs.toml", "--out", "quiet", "--quiet", *PLAIN).out == ""
    lines = [json.loads(line) for line in run("batch", "jobs.toml", "--out", "out", "--json", *PLAIN).out.splitlines()]
    assert lines[-1]["ended"]
    assert lines[-1]["states"]["done"] == 9


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.uncounted
@pytest.mark.parametrize("moments", [pytest.param(2), pytest.param(50, marks=pytest.mark.soak)])
def test_a_batch_that_is_killed_again_and_again_ends_as_if_it_had_not_been(run, here, moments):
    rng = random.Random(moments)
    (here / "jobs.toml").write_text(JOBS.format(count=40 if moments == 2 else 1500))
    line = [sys.executable, "-m", "composer", "batch", "jobs.toml", "--out", "out", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = 0
    for number in range(moments):
        pool = ["--executor", "pool" if number % 2 else "here"]
        process = subprocess.Popen([*line, *pool], env=environment, stderr=subprocess.PIPE)
        began, before = monotonic(), len(list((here / "out").glob("0*/*.mid")))
        while len(list((here / "out").glob("0*/*.mid"))) == before and process.poll() is None:
            assert monotonic() - began < 60
            sleep(0.005)  # until it writes
        sleep(rng.uniform(0, 0.05 if moments == 2 else 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    assert killed >= min(moments, 2)
    assert run("batch", "jobs.toml", "--out", "out", "--quiet", *PLAIN).status == 0
    assert run("batch", "jobs.toml", "--out", "whole", "--quiet", *PLAIN).status == 0
    assert content(here / "out") == content(here / "whole")
    assert rows(here / "out", "SELECT number, state, files, asked, metrics FROM pieces") == rows(
        here / "whole", "SELECT number, state, files, asked, metrics FROM pieces"
    )


# --- many -------------------------------------------------------------------------------------------------------------


def tiny(chunk):
    """Pieces of a few bytes, drawn and exported by nobody."""
    return chunk


def ready(chunk):
    from composer_batch.worker import FinishedPiece

    metrics = {"rank": [0, 0.5], "broken": [], "notes": 4, "nats per note": 1.0}
    return [
        FinishedPiece(
            number,
            "done",
            asked=json.dumps({"request": {"seed": 0, "index": index}}),
            files={"mid": b"%d" % number * 20},
            hashes={"mid": "0" * 64},
            metrics=metrics,
            rejections=((0, "rules broken: silent bars"),),
        )
        for number, _, index in chunk.pieces
    ]


@pytest.mark.soak
def test_a_hundred_thousand_pieces_take_no_more_memory_than_a_few_thousand(here, monkeypatch):
    import resource

    from composer_batch.jobfile import read
    from composer_batch.jobs import expand_grids
    from composer_batch.plan import make_plan
    from composer_batch.scheduler import run as run_batch

    (here / "many.toml").write_text('[[job]]\nmodel = "walks.safetensors"\nbars = 1\ncount = 100_000\n')
    monkeypatch.setattr("composer_batch.scheduler.draw", tiny)
    monkeypatch.setattr("composer_batch.scheduler.finish", ready)
    course = []

    def report(progress):
        if progress.made >= 10_000 * len(course):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            course.append((progress.made, progress.seconds, peak))
            print(f"{progress.made:>7} pieces  {progress.seconds:7.1f} s  {peak:6.1f} MB at most")

    cells = make_plan(expand_grids(read(here / "many.toml")))
    ended = run_batch(here / "out", cells, registry().make("executors", "here", beside=0), report=report)
    assert ended.counts["done"] == 100_000
    folders = [path for path in (here / "out").iterdir() if path.is_dir()]
    assert {len(list(folder.iterdir())) for folder in folders} == {1000}
    assert course[-1][2] < course[1][2] + 40
