"""Plugins: found, read, listed, checked and begun.

registry.py       what all plugins offer, by name
commands.py       the commands that plugins offer, and their help lines
discovery.py      installed plugins, from package metadata
cache.py          what they offer, kept between runs
options.py        the options of a callable, converted and described
doctor.py         what is wrong with a plugin
probing.py        a plugin imported in a process of its own
scaffold/         new packages
pytest_plugin.py  the contracts as tests
"""

DISABLED = "COMPOSER_DISABLE_PLUGINS"
"""The environment variable that names plugins, or packages of some, to be left out; `all` is all but our own."""
