"""Example commands, as text, for each kind of thing."""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS: Mapping[str, str] = {
    "architectures": "composer train folder:~/midi --out mine.safetensors --architecture {name}{options}",
    "tokenizers": "composer train folder:~/midi --out mine.safetensors --tokenizer {name}{options}",
    "samplers": "composer generate piece.mid{options}",
    "objectives": "composer train folder:~/midi --out mine.safetensors --objective {name}{options}",
    "optimisers": "composer train folder:~/midi --out mine.safetensors --optimiser {name}{options}",
    "schedules": "composer train folder:~/midi --out mine.safetensors --schedule {name}{options}",
    "backends": "composer generate piece.mid --backend {name}{options}",
    "readers": "composer export piece{name} piece.mid{options}",
    "exporters": "composer generate piece{name}{options}",
    "callbacks": "composer train folder:~/midi --out mine.safetensors --run run/ --callback {name}{options}",
    "datasets": "composer train {name} --out mine.safetensors{options}",
    "models": "composer generate piece.mid --model {name}",
    "metrics": "composer metrics piece.mid --metrics {name}{options}",
    "transforms": "composer generate piece.mid --transform {name}{options}",
    "rules": "composer generate piece.mid --rule {name}{options}",
    "executors": "composer batch jobs.toml --out pieces/ --executor {name}{options}",
    "commands": "composer {name} --help",
    "events": "composer generate pieces/ --count 4",
}
"""By the kind of a thing; `options` begin with a space, or with a colon."""

SPECS = ("backends", "metrics", "transforms", "rules")
"""The kinds whose options are typed after the name and a colon."""


def show_command(kind: str, name: str, options: str = "") -> str:
    """Return an example command for one thing; empty for a kind that no command names."""
    return COMMANDS.get(kind, "").format(name=name, options=options)
