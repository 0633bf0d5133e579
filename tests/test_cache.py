"""The cache: the user's own folder or none, and nothing in it that is half written, whoever works there at once."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from walks import Walks

from composer.data import corpus
from composer.errors import RunWarning
from composer.storage import cache
from composer.storage.cache import find_cache_folder

WORK = """
import json, sys, warnings
warnings.showwarning = lambda message, *_, **__: print(f"composer: {message}", file=sys.stderr)
from composer.data import corpus
from composer.tokens.jit.c_compiler import load_library
from composer.errors import ComposerError
from composer.originality.index import build_index
from composer.plugins.registry import registry
from walks import VOICES, Walks, walk

try:
    tokenizer = registry().make("tokenizers", "voices", **VOICES)
    made = corpus.build(Walks(10), tokenizer)
    found = build_index(made, tokenizer).select_split("train")
    compiled = load_library("int answer(void) { return 42; }", ("-shared", "-fPIC"))
    said = [compiled.answer() if compiled else 42, len(registry().list_names("readers")), made.tokens.tolist()[:99]]
    print(json.dumps([*said, found.counts.tolist()[-1]]))
except ComposerError as error:
    sys.exit(f"composer: {error}")
"""


def begun(environment, most=None):
    """A process that needs everything that is kept, each of whose files may have `most` bytes."""
    limit = None if most is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    counted = {name for name in os.environ if name.startswith("COVERAGE_")}  # it writes files, too
    mine = {name: value for name, value in os.environ.items() if most is None or name not in counted}
    environment = {**mine, "PYTHONPATH": paths, **environment}
    return subprocess.Popen(
        [sys.executable, "-c", WORK], env=environment, stdout=-1, stderr=-1, text=True, preexec_fn=limit
    )


def ended(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return process.returncode, out, err.splitlines()


@pytest.mark.parametrize("count", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_processes_at_once_a_full_disk_and_a_home_that_cannot_be_written(tmp_path, count):
    place = {"COMPOSER_CACHE": str(tmp_path / "cache")}
    for most in (0, 6000):  # bytes; what came of it is there for those who come after
        status, out, err = ended(begun(place, most))
        assert (status, len(err)) in ((0, 0), (0, 1), (1, 1)), err
    together = [ended(process) for process in [begun(place) for _ in range(count)]]
    alone = ended(begun({"COMPOSER_CACHE": str(tmp_path / "other")}))
    assert alone[0] == 0
    assert json.loads(alone[1])[0] == 42
    assert together == [alone] * count
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name.startswith((".", "tmp"))]
    status, out, err = ended(begun({"COMPOSER_CACHE": "", "HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none"}))
    assert (status, out) == alone[:2]
    (line,) = err
    assert line.endswith("music is encoded for this run alone. COMPOSER_CACHE names another folder.")


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A cache that is there, and is the one that is asked for."""
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    (folder / "plugins.json").write_text("{}")
    monkeypatch.setenv("COMPOSER_CACHE", str(folder))
    return folder


def left_alone(theirs, tokenizer, said):
    with pytest.warns(RunWarning, match=said):
        folder = find_cache_folder()
    assert folder != theirs
    assert find_cache_folder() == folder  # said once
    assert corpus.build(Walks(6), tokenizer).folder.is_relative_to(folder)
    assert [path.name for path in theirs.iterdir()] == ["plugins.json"]


@pytest.mark.skipif(os.name == "nt", reason="rights are another thing there")
def test_a_cache_that_others_can_write_to_is_not_used(theirs, tokenizer):
    theirs.chmod(0o777)
    left_alone(theirs, tokenizer, r"theirs: can be written to by others \(`chmod go-w` mends it\), and is not used\.")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid(), reason="only root gives things away")
def test_a_cache_of_somebody_else_is_not_used(theirs, tokenizer):
    os.chown(theirs, 12345, -1)
    left_alone(theirs, tokenizer, "theirs: belongs to somebody else, and is not used")


@pytest.mark.skipif(os.name == "nt", reason="rights are another thing there")
def test_a_group_of_one_is_nobody_else(theirs, monkeypatch):
    theirs.chmod(0o770)
    monkeypatch.setattr(cache, "_is_alone", lambda group: True)
    assert find_cache_folder() == theirs
    monkeypatch.setattr(cache, "_is_alone", lambda group: False)
    with pytest.warns(RunWarning, match="can be written to by others"):
        assert find_cache_folder() != theirs


def test_a_cache_that_is_made_is_the_users_alone(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setenv("COMPOSER_CACHE", str(tmp_path / "new" / "cache"))
    before = os.umask(0)
    try:
        corpus.build(Walks(6), tokenizer)
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "cache").stat().st_mode & 0o777 == 0o700


def test_what_another_process_put_there_meanwhile_is_kept(tmp_path):
    """A corpus that was not there a moment ago is no damaged one, and is not taken away."""
    folder, mine = tmp_path / "corpus", tmp_path / "mine"

    def is_whole(place):
        return (place / "whole").exists()

    folder.mkdir()
    (folder / "whole").touch()
    cache.clear_damaged(folder, is_whole)
    mine.mkdir()
    cache.put_folder(mine, folder, is_whole)
    assert (folder / "whole").exists()
    (folder / "whole").unlink()
    (folder / "half").touch()
    cache.clear_damaged(folder, is_whole)
    assert not folder.exists()
    (mine / "whole").touch()
    cache.put_folder(mine, folder, is_whole)
    assert is_whole(folder)


@pytest.mark.parametrize("named", [None, "", "elsewhere"])
def test_the_folder_is_where_the_platform_has_such_folders(tmp_path, monkeypatch, named):
    from platformdirs import user_cache_path

    monkeypatch.delenv(cache.CACHE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named and str(tmp_path / named))
    assert find_cache_folder() == user_cache_path("composer-midi")
