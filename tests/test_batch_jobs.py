"""Files of jobs: read in three forms, spread to a grid, and refused with file and line before anything runs."""

import json
import os
import random
import string
import time
from dataclasses import replace

import pytest

from composer.errors import BadJobs, BadOption
from composer.generation.finishing import read_transforms
from composer.generation.tasks import get_request
from composer.plugins.registry import registry
from composer_batch import jobs, plan, requests
from composer_batch.jobfile import LARGEST, read
from composer_batch.jobs import expand_grids
from composer_batch.plan import count_pieces, iterate_pieces, make_plan
from composer_batch.schema import build_schema

TOML = """
[defaults]
model = "walks.safetensors"

[[job]]
name = "grid"
key = ["C", "Dm"]
temperature = [0.8, 1.0]
top-p = 0.9
count = 2

[[job]]
bars = [2, 4]
seed = 3
file = "{name}-{bars}-{index:03}"
formats = ["mid"]
[job.gates]
rules_broken = 2
"""


@pytest.fixture
def here(tmp_path, monkeypatch, model_file):
    (tmp_path / "walks.safetensors").write_bytes(model_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(here, text, name="jobs.toml"):
    (here / name).write_text(text, encoding="utf-8")
    return here / name


def planned(here, text, name="jobs.toml"):
    return make_plan(expand_grids(read(written(here, text, name))))


def refusal(here, text, name="jobs.toml"):
    with pytest.raises(BadJobs) as caught:
        planned(here, text, name)
    (line,) = str(caught.value).splitlines()
    assert line.endswith((".", "?"))
    assert len(line) < 500
    return line.removeprefix(f"{here}/")


def test_lists_make_a_grid_in_the_order_of_the_file(here):
    cells = planned(here, TOML)
    assert [(cell.job, cell.count) for cell in cells] == [(1, 2)] * 4 + [(2, 1)] * 2
    requests = [cell.asked["request"] for cell in cells]
    assert [request.get("key") for request in requests[:4]] == ["C", "C", "Dm", "Dm"]
    chains = [[(link["name"], link["options"]) for link in request["samplers"]] for request in requests[:4]]
    assert chains[1] == [("temperature", {"temperature": 1.0}), ("top-p", {"p": 0.9})]
    assert [request.get("bars") for request in requests[4:]] == [2, 4]
    assert cells[4].gates == {"rules_broken": 2}


def test_pieces_of_jobs_of_the_second_edition_end_as_those_of_the_command(here):
    cells = planned(here, TOML.replace("[defaults]", "[defaults]\nedition = 2"))
    chains = [[(link["name"], link["options"]) for link in cell.asked["request"]["samplers"]] for cell in cells]
    assert all(chain[-1] == ("ending", {"kind": "cadence", "yields": True}) for chain in chains)


def test_names_are_those_of_the_patterns(here):
    stems = [cell.names.make_stem(number, index) for number, index, cell in iterate_pieces(planned(here, TOML))]
    assert stems[:3] == ["0000/000000", "0000/000001", "0000/000002"]
    assert stems[8:] == ["0000/job2-2-000", "0000/job2-4-000"]


def test_the_three_forms_say_the_same(here):
    toml = '[[job]]\nmodel="walks.safetensors"\nbars=2\nkey="C"\ntempo=90\ngates={rules_broken=1}\nformats=["mid"]\n'
    line = {"model": "walks.safetensors", "bars": 2, "key": "C", "tempo": 90, "gates": {"rules_broken": 1}}
    rows = "model,bars,key,tempo,gates.rules_broken,form\nwalks.safetensors,2,C,90,1,\n"
    first = planned(here, toml)
    assert planned(here, json.dumps({**line, "formats": ["mid"]}), "jobs.jsonl") == first
    assert planned(here, rows, "jobs.csv") == first


def test_a_list_of_a_sampler_that_takes_one_is_one_value(here):
    names = {key for key, (_, option) in __import__("composer_batch.jobs", fromlist=["x"]).list_sampler_keys().items()}
    assert {"temperature", "top-p", "density", "density-per"} <= names


@pytest.mark.parametrize("typed", ['["quantize:grid=2,strength=0.5"]', '"quantize:grid=2,strength=0.5"'])
def test_the_pieces_of_a_job_are_transformed_as_those_of_the_command(here, typed):
    (cell,) = planned(here, f'[[job]]\nmodel = "walks.safetensors"\nbars = 1\ntransforms = {typed}')
    assert get_request(cell.make_request(3)).transforms == read_transforms("quantize:strength=0.5,grid=2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[job]]\nmodle = 'x'", "jobs.toml, line 2: a job has no 'modle': did you mean 'model'?"),
        ("[[job]]\n\n[[job]]\ncount = 'many'", "jobs.toml, line 4: job 2: 'count' is 'many', which is not int."),
        ("[[job]]\ncount = 0", "jobs.toml, line 2: 'count' is 0, and must be from 1 to 1,000,000."),
        ("[[job]]\ncount = 99999999999", "line 2: 'count' is 99,999,999,999, and must be from 1 to 1,000,000."),
        ("[[job]]\nbars = -1", "line 2: 'bars' is -1, and must be a whole number from 1 to 1,000,000."),
        ("[[job]]\nbars = 1000000", "line 2: 'bars' is 1,000,000; 4,096 are the most in a batch."),
        ("[[job]]\nbars = 2.5", "which is not int"),
        ("[[job]]\nseed = -1", "line 2: 'seed' is -1"),
        ("[[job]]\nkey = 'H'", "line 2: "),
        ("[[job]]\ntempo = nan", "line 2: 'tempo' is nan, and must be from 5 to 1000"),
        ("[[job]]\ntempo = [90, inf]", "line 2: 'tempo' is inf"),
        ("[[job]]\nkey = []", "line 2: 'key' is an empty list"),
        ("[[job]]\ncount = [1, 2]", "line 2: 'count' takes one value"),
        ("[[job]]\nbars = {a = 1}", "line 2: 'bars' is a table"),
        ("[[job]]\nbars = 2024-01-01", "line 2: 'bars' is 2024-01-01, which no option takes."),
        ("[[job]]\nindex = 3\ncount = 2", "'index' asks for one piece and 'count' for several"),
        ("[[job]]\nkeep = 'all'", "line 2: 'keep' is 'all', and must be such as 'best 100 by likelihood'"),
        ("[[job]]\nattempts = 1000", "line 2: 'attempts' is 1,000"),
        ("[[job]]\ngates = 3", "line 2: 'gates' is a table"),
        ("[[job]]\n[job.gates]\nfast = 1", "line 2: there is no gate 'fast'"),
        ("[[job]]\ngates = {in_key = 2}", "line 2: 'in_key' is 2.0, and must be a share"),
        ("[[job]]\ngates = {nats_per_note = [3, 1]}", "must be [least, most]"),
        ("[[job]]\n[job.gates]\nrules = ['leap']", "line 2: no plugin offers the rule 'leap': did you mean 'leaps'?"),
        ("[[job]]\nbars = 2\ntransforms = ['octav']", "no plugin offers the transform 'octav': did you mean 'octave'?"),
        (
            "[[job]]\ntransforms = 'humanize:timing=2'",
            "transform 'humanize': 'timing' is 2.0, and must be from 0 to 1.",
        ),
        ("[[job]]\nformats = ['exe']", "line 2: no plugin writes '.exe' files"),
        ("[[job]]\nformats = ['../mid']", "line 2: no plugin writes '.../mid' files"),
        ("[[job]]\nformats = ['/etc/x.mid']", "line 2: "),
        ("[[job]]\nformats = []", "'formats' names each form once"),
        ("[[job]]\nmodel = 'nowhere.safetensors'", "line 2: nowhere.safetensors: no such file."),
        ("[[job]]\nmodel = 'choral'", "line 2: unknown model 'choral'"),
        ("[[job]]\ntemperature = -1", "line 2: sampler 'temperature'"),
        ("[[job]]\nexport_options = {wav = {gain = 1}}", "which is not among the formats"),
        ("[[job]]\n[[job]]", "line 2: this asks for the same pieces as line 1; give it another seed."),
        ("[[job]]\nbars = [2, 2]", "line 1: this asks for the same pieces as line 1"),
        ("[jobs]\nx = 1", "jobs.toml: there is no 'jobs' beside the jobs: did you mean 'job'?"),
        ("[job]\nx = 1", "jobs are tables that begin with [[job]]"),
        ("", "contains no jobs"),
        ("[[job]\nbars = 2", "jobs.toml: is not TOML (Expected ']]' at the end of an array declaration (at line 1"),
        ("x = " + "[" * 5000, "is not TOML"),
        ("[[job]]\nbars = " + "[" * 9 + "]" * 9, "line 2: 'bars' is nested too deeply."),
        ("[[job]]\ncount = " + "9" * 5000, "is not TOML (a number or a key has more than 500 characters)."),
        ("[[job]]\ncount = 0x" + "f" * 450, "line 2: 'count' is a number of 1,800 bits; 64 are the most."),
        ("[[job]]\ntempo = 0x" + "f" * 450, "line 2: 'tempo' is a number of 1,800 bits"),
        ("a." * 40_000 + "a = 1", "is not TOML (a key has more than 8 parts)."),
        ("[[job]]\n['a' . " + "b." * 40_000 + "a]\nx = 1", "is not TOML (a key has more than 8 parts)."),
        ("[[job]]\nbars = [" + "{}," * 300_000 + "]", "is not TOML (it holds more than 250,000 values)."),
        ("[[job]]\nbars = " + "[" * 2000, "is not TOML (it is nested too deeply)."),
        ("[[job]]\ntop-p = 0.9\ntop_p = 0.8", "line 3: 'top-p' and 'top_p' are the same; leave one out."),
        (
            "[[job]]\nmodel = '~nobody-is-called-so/x.safetensors'",
            "line 2: ~nobody-is-called-so/x.sa",
        ),
        ("[[job]]\nmodel = '" + "x" * 300 + ".safetensors'", "line 2: xxx"),
        (
            "[[job]]\nprimer = '~nobody-is-called-so/x.mid'",
            "line 1: ~nobody-is-called-so/x.mid: no such file",
        ),
        ("[[job]]\nprimer = '" + "x" * 300 + ".mid'", "line 1: xxx"),
        ("[[job]]\nkey = '" + "C" * 20_000 + "'", "line 2: 'key' has 20,000 characters; 10,000 are the most."),
        ("[[job]]\nkey = [" + "'C'," * 20_000 + "]", "line 2: 'key' holds 20,000 values; 10,000 are the most."),
        (
            f"[[job]]\nseed = {list(range(200))}\nbars = {list(range(1, 200))}",
            "line 1: with this grid there are 39,800",
        ),
    ],
    ids=lambda text: text[:40].replace("\n", " "),
)
def test_what_cannot_be_is_refused_with_its_line(here, text, said):
    usual = "" if "model" in text else "walks.safetensors"
    if usual and "[[job]]" in text:
        text += f"\n[defaults]\nmodel = '{usual}'"
    assert said in refusal(here, text)


@pytest.mark.parametrize(
    "pattern",
    ["../{index}", "/tmp/{index}", "a/{index}", "..\\{index}", "C:{index}", "{index}\n", "{index.__class__}", "{0}",
     "{index!r}", "{index:>9999999999}", "{index:f}", "{nothing}", "{", "{index[0]}", "", " ", ".", "..", ".{index}",
     "CON", "nul.{index}", "x" * 200, "{index}.", "\x00{index}", "{seed:05}", "a*{index}"],
)  # fmt: skip
def test_no_name_leaves_its_folder(here, pattern):
    table = f"[[job]]\nmodel = 'walks.safetensors'\nfile = {json.dumps(pattern)}"
    assert refusal(here, table).startswith("jobs.toml, line 3: ")


def test_no_random_pattern_leaves_its_folder(here):
    rng = random.Random(0)
    fields = {"key": "../..", "model": "/etc/passwd", "seed": 3, "title": None}
    letters = string.printable + "./\\{}:{{}}éß\u202e"
    for _ in range(5000):
        parts = [
            "".join(rng.choices(letters, k=rng.randrange(4))),
            rng.choice(["{key}", "{model}", "{index}", "..", ""]),
        ]
        pattern = "".join(rng.sample(parts, 2))
        try:
            stem = jobs.make_names(pattern, fields).make_stem(1234, 5)
        except BadOption:
            continue
        folder, name = stem.split("/")
        assert folder == "0001"
        assert name.strip(". ")
        assert (here / "out" / f"{stem}.mid").resolve().parent == here / "out" / "0001"


def test_two_pieces_share_no_name(here):
    table = "[[job]]\nmodel = 'walks.safetensors'\ncount = 2\nfile = 'same'"
    assert refusal(here, table) == (
        "jobs.toml, line 4: two pieces would be called 'same'; put {index} or {number} into 'file'."
    )


MEETING = {
    # in a folder of a thousand, names of several jobs may meet; within a job they differ by their numbers
    "apart": (["{index}", "{index}"], [(0, 900), (900, 900)], ""),
    "met": (["{index}", "{index}"], [(0, 900), (899, 50)], "899"),
    "in other folders": (["{index}", "{index}"], [(0, 1000), (0, 1000)], ""),
    "from a folder to the next": (["{index}", "{index}"], [(0, 1001), (1000, 5)], "1000"),
    "by their digits": (["1{index}", "{index}"], [(0, 9), (10, 9)], "10"),
    "by capitals": (["A{index}", "a{index}"], [(0, 3), (2, 3)], "a2"),
    "constant": (["same{index}", "same"], [(0, 998), (0, 3)], "same"),
    "constant, but apart": (["x{index}", "same"], [(0, 999), (0, 2)], ""),
    "by a number and an index": (["{number}{index}", "{number}{index}"], [(0, 11), (1, 9)], ""),
    "numbered": (["a{number}", "a{number}"], [(0, 600), (0, 600)], ""),
    "a width": (["{index:3}"], [(98, 10)], None),
}


@pytest.mark.parametrize("kind", MEETING)
def test_names_that_meet_are_found_without_a_look_at_each(here, kind):
    """What is said is what is true of all names, one by one."""
    patterns, stretches, met = MEETING[kind]
    text = ""
    for seed, (pattern, (index, many)) in enumerate(zip(patterns, stretches, strict=True)):
        rest = f"index = {index}" if many == 1 else f"count = {many}"
        text += f"[[job]]\nmodel = 'walks.safetensors'\nseed = {seed}\nfile = '{pattern}'\n{rest}\n"
    wanted = expand_grids(read(written(here, text)))
    found = [replace(s, index=index) for s, (index, _) in zip(plan.list_ranges(wanted), stretches, strict=True)]
    names = [jobs.make_names(pattern, {}) for pattern in patterns]
    try:
        stems = [
            name.make_stem(stretch.number + place, stretch.index + place).casefold()
            for stretch, name in zip(found, names, strict=True)
            for place in range(stretch.count)
        ]
    except BadOption:
        assert met is None
        stems = ["", ""]
    assert (len(set(stems)) < len(stems)) == (met != "")
    if met == "":
        plan.check_names(found, names)
        return
    with pytest.raises(BadJobs, match=f"two pieces would be called '{met}'" if met else "invalid file name"):
        plan.check_names(found, names)


def test_a_plan_of_five_million_pieces_and_one_of_five_thousand_rows_take_a_moment(here):
    many = "".join(
        f"[[job]]\nmodel = 'walks.safetensors'\nseed = {n}\ncount = 1_000_000\nfile = '{{seed}}-{{index:07}}'\n"
        for n in range(5)
    )
    rows = "model,seed,index,bars,key,top-p,primer,gates.rules_broken\n"
    rows += "".join(f"walks.safetensors,{n % 10},{n},2,C,0.{n % 9 + 1},C4 D4,1\n" for n in range(5000))
    began = time.process_time()
    assert count_pieces(planned(here, many)).total() == 5_000_000
    assert count_pieces(planned(here, rows, "jobs.csv")).total() == 5000
    assert time.process_time() - began < 20  # seconds; it took minutes when each piece was looked at


def test_the_same_pieces_are_found_among_thousands(here):
    rows = "".join(f'{{"model": "walks.safetensors", "index": {n}}}\n' for n in [*range(9000), 4500])
    assert refusal(here, rows, "jobs.jsonl") == (
        "jobs.jsonl, line 9001: this asks for the same pieces as line 4501; give it another seed."
    )


def test_primers_of_all_jobs_together_have_a_bound(here, monkeypatch):
    monkeypatch.setattr(requests, "MOST_OF_PRIMERS", 100_000)
    table = f"[[job]]\nmodel = 'walks.safetensors'\nprimer = '{'C4 D4 ' * 50}'\nseed = {list(range(1000))}"
    assert "MiB of primers" in refusal(here, table)


def test_constraints_of_many_are_held_against_each_other_when_they_are_drawn(here, monkeypatch):
    table = "[[job]]\nmodel = 'walks.safetensors'\nbars = 2\nscale = 'C'\nchords = ['C', 'D', 'F#']"
    assert "leave no note" in refusal(here, table)
    monkeypatch.setattr(requests, "MOST_CHECKED", 2)
    assert len(planned(here, table)) == 3


def test_a_file_that_is_none(here):
    assert "jobs must be in .toml, .jsonl or .csv files" in refusal(here, "x", "jobs.yaml").replace(".csv, .jsonl", "")
    (here / "jobs.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadJobs, match="is not UTF-8"):
        read(here / "jobs.toml")
    with (here / "jobs.jsonl").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(BadJobs, match="is larger than 8 MiB"):
        read(here / "jobs.jsonl")
    with pytest.raises(BadJobs, match="no such file"):
        read(here / "none.csv")
    os.mkfifo(here / "pipe.toml")
    with pytest.raises(BadJobs, match="is a named pipe, not a file"):
        read(here / "pipe.toml")


def test_words_in_texts_and_comments_are_not_counted(here):
    title = "a.b.c.d.e.f.g.h.i.j [[{{==,," * 20
    table = f"""[[job]]  # {title}
model = 'walks.safetensors'
title = \"\"\"
{title} ""\\\" {title}
\"\"\"
name = '{"x" * 600}'
"""
    (cell,) = planned(here, table)
    assert cell.title.startswith("a.b.c")
    assert cell.name == "x" * 600


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jobs.jsonl", '{"bars": 2}\n{"bars": ', "jobs.jsonl, line 2: invalid JSON"),
        ("jobs.jsonl", "[" * 50_000, "jobs.jsonl, line 1: invalid JSON (it is nested too deeply)."),
        ("jobs.jsonl", "3", "jobs.jsonl, line 1: not a JSON object."),
        ("jobs.csv", "bars,bars\n1,2\n", "jobs.csv, line 1: every column needs a name of its own."),
        ("jobs.csv", "bars\n1,2\n", "jobs.csv, line 2: has 2 fields under 1 names."),
        ("jobs.csv", 'bars\n"1\n', "invalid CSV"),
        ("jobs.csv", "bars\n2\nx\n", "jobs.csv, line 3: job 2: 'bars' is 'x', which is not int"),
        ("jobs.csv", "key\n" + "C" * 200_000, "invalid CSV"),
    ],
)
def test_lines_and_rows_that_are_none(here, name, text, said):
    assert said in refusal(here, text, name)


def test_the_schema_knows_every_option_and_every_sampler():
    found = build_schema()
    job = found["properties"]["job"]["items"]["properties"]
    assert {"model", "count", "bars", "key", "gates", "formats"} <= set(job)
    assert set(registry().list_names("samplers")) <= set(job)
    assert job["temperature"]["anyOf"][0]["type"] == "number"
    assert job["count"] == {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1} | {
        "description": "how many pieces, for each point of the grid"
    }
    json.dumps(found)


def test_a_preset_stands_for_its_options_as_in_the_command(here):
    toml = '[[job]]\npreset = "waltz"\nmodel = "walks.safetensors"\nbars = 2\n'
    (cell,) = planned(here, toml)
    plain = toml.replace('preset = "waltz"', 'edition = 2\nform = "AABA"\ntime_signature = "3/4"\ntempo = 144')
    assert planned(here, plain + 'ending = true\ninstrument = "accordion"\n')[0].asked == cell.asked
    with pytest.raises(BadJobs, match=r"line 2: there is no preset 'walts'.*waltz"):
        planned(here, toml.replace("waltz", "walts"))
