"""Plugins: discovery, registry, options, cache, the doctor and the scaffold.

discovery.py      installed plugins, from package metadata
options.py        the options of a callable, converted and described
specs.py          a thing with its options, as it is typed
checks.py         mistakes of authors, found at import
hooks.py          the hooks of a module, and mistakes in them
events.py         plugins told of what has happened
offers.py         the offers of plugins by kind and name, imported and checked
cache.py          the registry, kept between runs
probing.py        a plugin imported in a process of its own
registry.py       the registry of all enabled plugins
help_lines.py     the help lines of commands, kept between runs
commands.py       the commands that plugins offer
doctor.py         problems of plugins, with advice
scaffold/         new packages
pytest_plugin.py  the contracts as tests
"""

DISABLED = "COMPOSER_DISABLE_PLUGINS"
"""The environment variable with the disabled plugins or packages; `all` is all but our own."""

BUILT_IN = (
    *("generate", "fill", "harmonize", "accompany", "chords", "humanize", "vary", "regenerate", "export", "check"),
    *("train", "evaluate", "metrics", "originality", "finetune", "datasets", "models", "presets", "plugins", "cache"),
)
"""The names of composer's own commands, which no plugin may take."""
