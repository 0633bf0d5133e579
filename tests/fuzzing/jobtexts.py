"""Texts of files of jobs, good ones and such as ask for too much; it knows no reader of them."""

import json

from mutations import NUMBERS, TEXTS

JOBS = {
    ".toml": """[defaults]
seed = 3
formats = ["mid"]
[[job]]
name = "a"
model = "small"
bars = [2, 4]
key = ["C", "Dm"]
time_signature = "3/4"
temperature = [0.8, 1.0]
count = 3
file = "{name}-{key}-{index:03}"
[[job]]
model = "small"
bars = 2
scale = "D dorian"
chords = "Dm7 G7 | Cmaj7"
keep = "best 2 by likelihood"
attempts = 4
formats = ["mid", "abc"]
[job.gates]
not_degenerate = true
nats_per_note = [1, 2]
[job.export_options.abc]
title = "x"
""",
    ".jsonl": '{"model": "small", "bars": 2, "count": 2}\n'
    '{"model": "small", "key": ["C", "D"], "gates": {"in_key": 0.9}}\n',
    ".csv": 'model,bars,key,gates.in_key,temperature\nsmall,2,C,0.9,"[0.8, 1]"\nsmall,4,Dm,,\n',
}


def large_jobs(draw, suffix):
    """Files of jobs that are small, or nearly so, and ask for much: of the reader, the planner or the disk."""
    many, wide = draw.choice([2000, 20_000, 200_000]), draw.choice([50, 1000, 10_000])
    name, key = (
        draw.choice(TEXTS),
        draw.choice(["bars", "seed", "key", "title", "temperature", "file", "scale", "count"]),
    )
    if suffix == ".csv":
        return draw.choice(
            [
                lambda: "seed,bars\n" + "".join(f"{number},2\n" for number in range(min(many, 9000))),
                lambda: "index,scale\n" + "".join(f"{number},C\n" for number in range(min(many, 9000))),
                lambda: ",".join(f"a{number}" for number in range(many)) + "\n",
                lambda: f"{key}\n" + '"' + "a\n" * many + '"\n',
                lambda: f"{key}\n" + "[" * many + "\n",
                lambda: "\n" * many + f"{key}\n",
                lambda: "gates." * many + "\n1\n",
            ]
        )()
    if suffix == ".jsonl":
        return draw.choice(
            [
                lambda: f'{{"{key}": {"[" * many}\n',
                lambda: '{"a":' * many,
                lambda: f'{{"{key}": {NUMBERS[-1] * many}}}',
                lambda: f'{{"{key}": {list(range(wide))}, "tempo": {list(range(5, 105))}}}',
                lambda: json.dumps({key: [name] * wide}),
                lambda: json.dumps({name * (wide // 20): 1}),
                lambda: "{}\n" * many,
                lambda: "".join(json.dumps({"seed": 0, "index": number}) + "\n" for number in range(min(many, 9000))),
            ]
        )()
    return draw.choice(
        [
            lambda: "a." * many + "a = 1",
            lambda: "[" + "a." * many + "a]\n" + "x = 1\n" * 10,
            lambda: "[[job]]\n" + "a.b.c.d.e.f.g=1\n" * min(many, 20_000),
            lambda: f"[[job]]\n{key} = " + "{a=" * many,
            lambda: f"[[job]]\n{key} = [" + "{}," * many + "]",
            lambda: f"[[job]]\n{key} = 0x" + "f" * many,
            lambda: f"[[job]]\n{key} = " + "9" * many,
            lambda: f'[[job]]\n{key} = """' + '""a' * many + '"""',
            lambda: f'[[job]]\n{key} = "' + "\\n" * many + '"',
            lambda: "[[job]]\n" * min(many, 20_000),
            lambda: "".join(f"[a{number}]\n" for number in range(many)),
            lambda: f"[[job]]\ncount = 1_000_000\nfile = {json.dumps(draw.choice(PATTERNS))}\n" * draw.choice([1, 2]),
            lambda: "".join(f"[[job]]\nseed = {n}\ncount = 400\nfile = '{{index}}-{{number}}'\n" for n in range(wide)),
            lambda: (
                f"[[job]]\nkeep = 'best {'9' * wide}'\nform = '{'AB' * wide}'\nchords = '{'C|' * min(wide, 4000)}'\n"
            ),
            lambda: f"[[job]]\nprimer = '{'C4 ' * min(wide, 3000)}'\nseed = {list(range(wide))}\n",
            lambda: f"[[job]]\nmodel = {json.dumps([f'{n}/../small.safetensors' for n in range(wide)])}\n",
        ]
    )()


KEYS = ("bars", "seed", "key", "title", "temperature", "file", "scale", "count")
PATTERNS = ("{index}", "{number}", "{seed}-{index}", "same", "{index:3}", "{key}{number:08}", "{title}", "a%d{index}%")
