"""Comparisons: fair budgets, verdicts that hold with few seeds, runs that carry on, reports that show their holes."""

import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn
from walks import Walks

from composer.errors import BadOption
from composer.io.outputs import hold_lock
from composer.plugins.offers import Offer
from composer.plugins.registry import registry
from composer_compare import claims, cost, judging, perturbed_data, probes, results, spec, statistics, tuning, worker
from composer_compare.plan import make_speed_run, plan_runs
from composer_compare.plots import Point, plot
from composer_compare.questions import parse_ablations
from composer_compare.result_store import ResultStore, compute_identity
from composer_compare.results import Results
from composer_compare.verdict import judge

LINE = ("compare", "lstm", "gru", "--dataset", "folder:tunes", "--steps", 12, "--seeds", 2, "--trials", 2, "--out", "t")
SMALL = ("--hidden-size", 12, "--layers", 1, "--embedding-size", 8, "--device", "cpu", "--questions", "likelihood")


# --- statistics and verdicts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.706), (2, 4.303), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_students_t_is_that_of_the_tables(freedom, expected):
    assert statistics.find_quantile(0.975, ((1.0, freedom),)) == pytest.approx(expected, abs=5e-4)


def test_holm_corrects_step_by_step():
    found = statistics.adjust_by_holm({("a", "b"): 0.01, ("a", "c"): 0.04, ("b", "c"): 0.03})
    assert found == pytest.approx({("a", "b"): 0.03, ("b", "c"): 0.06, ("a", "c"): 0.06})


def simulated(rng, behind, seeds=3, pieces=40):
    """Scores as trials have them: pieces differ most, then seeds, then what is left; `behind` in nats per note."""
    notes = rng.integers(80, 400, pieces).astype(float)
    hard = rng.normal(1.8, 0.3, pieces)
    scores = {
        name: {
            seed: notes * (hard + by + rng.normal(0, 0.02) + rng.normal(0, 0.05, pieces)) for seed in range(seeds)
        }
        for name, by in behind.items()
    }  # fmt: skip
    return scores, notes


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equals_have_no_winner(seeds):
    rng = np.random.default_rng(seeds)
    verdicts = [judge(*simulated(rng, {"one": 0, "two": 0, "three": 0}, seeds)) for _ in range(100)]
    assert sum(bool(verdict.winner) for verdict in verdicts) <= 10
    assert sum(bool(verdict.losers) for verdict in verdicts) <= 10
    assert any("No clear winner" in verdict.text for verdict in verdicts)


def test_runs_that_diverge_are_told_apart_exactly():
    assert statistics.compute_exact_p(0, 0) == 1
    assert statistics.compute_exact_p(3, 3) == 1
    assert statistics.compute_exact_p(6, 0) == statistics.compute_exact_p(0, 6) == pytest.approx(2 / 64)


def test_a_crippled_one_loses():
    rng = np.random.default_rng(7)
    verdicts = [judge(*simulated(rng, {"one": 0, "two": 0, "crippled": 0.5})) for _ in range(100)]
    assert sum("crippled" in verdict.losers for verdict in verdicts) >= 95
    assert not any(verdict.winner == "crippled" for verdict in verdicts)
    assert all("crippled" in verdict.text for verdict in verdicts)


def test_a_clear_winner_is_named_with_its_interval():
    verdict = judge(*simulated(np.random.default_rng(1), {"good": 0, "bad": 0.4}))
    assert verdict.winner == "good"
    assert verdict.pairs[0].behind.low < 0.4 < verdict.pairs[0].behind.high
    assert "good is best" in verdict.text
    assert "a large difference" in verdict.text


def test_one_seed_decides_nothing():
    verdict = judge(*simulated(np.random.default_rng(1), {"good": 0, "bad": 5}, seeds=1))
    assert not verdict.winner
    assert "one seed" in verdict.text
    assert np.isinf(verdict.pairs[0].detectable)


def test_a_difference_that_would_have_been_seen_is_seen_in_four_of_five_experiments():
    rng = np.random.default_rng(2)
    drawn = rng.normal(0, 1, (4000, 5))
    size = statistics.Estimate(0, 1 / np.sqrt(5), ((1.0, 4.0),)).compute_detectable()
    assert size == pytest.approx((2.776 + 0.941) / np.sqrt(5), abs=1e-3)
    found = drawn.mean(axis=1) + size, drawn.std(axis=1, ddof=1) / np.sqrt(5)
    assert np.mean(found[0] > 2.776 * found[1]) == pytest.approx(statistics.POWER, abs=0.03)


def test_what_would_have_been_seen_of_a_pair_grows_with_the_number_of_pairs():
    scores, notes = simulated(np.random.default_rng(4), {"one": 0, "two": 0, "three": 0})
    three, pair = judge(scores, notes), judge({name: scores[name] for name in ("one", "two")}, notes).pairs[0]
    same = next(p for p in three.pairs if {p.better, p.worse} == {"one", "two"})
    assert same.detectable > pair.detectable == pytest.approx(pair.behind.compute_detectable(0.95))
    assert f"({three.pairs[0].detectable:.2g} would have been seen)" in three.text


# --- what is asked, and budgets ---------------------------------------------------------------------------------------


def test_what_is_equal_is_read_from_the_command_line():
    assert spec.parse_match("parameters") == ("parameters", "tokens")
    assert spec.parse_match("width,time") == ("width", "time")
    for wrong in ("size", "width,parameters", "tokens,time"):
        with pytest.raises(BadOption):
            spec.parse_match(wrong)
    assert [spec.parse_minutes(text) for text in ("90s", "20m", "2h", "45")] == [1.5, 20, 120, 45]
    for wrong in ("soon", "-1m", "0", ""):
        with pytest.raises(BadOption):
            spec.parse_minutes(wrong)
    assert parse_ablations("data") == ("likelihood", "data")
    with pytest.raises(BadOption, match="did you mean 'noise'"):
        parse_ablations("nois")


def test_widths_make_the_parameters_equal(tokenizer):
    small = {"hidden_size": 48, "embedding_size": 16, "layers": 2}
    found = spec.make_candidates(("lstm", "rnn", "mingru"), [small] * 3, tokenizer, "parameters")
    counts = [spec.count_parameters(one.name, one.options, tokenizer) for one in found]
    assert counts == pytest.approx([counts[0]] * 3, rel=0.01)
    assert found[1].options["hidden_size"] > found[0].options["hidden_size"] == 48
    equal = spec.make_candidates(("lstm", "rnn"), [small] * 2, tokenizer, "width")
    assert equal[1].options["hidden_size"] == 48
    assert equal[1].other == found[1].options["hidden_size"]


@pytest.fixture
def offered(monkeypatch):
    """Offer architectures under names, for this test."""

    def offer(**found):
        for name, make in found.items():
            one = Offer("architectures", name, make, registry().plugins[0])
            monkeypatch.setitem(registry().offers["architectures"], name, one)

    return offer


def layers_of(width, depth, words):
    return nn.ModuleList([nn.Embedding(words, width), *[nn.Linear(width, width) for _ in range(depth)]])


@dataclass(frozen=True)
class ByUnits:
    """Its width has a name of its own, and goes by its heads; twice as deep adds less than twice as wide."""

    depth: int = 2
    units: int = 64
    heads: int = 4
    bias: bool = True

    def build_module(self, column_sizes, vocabulary_size):
        if self.units % self.heads:
            raise ValueError("units are divided among the heads")
        return layers_of(self.units, self.depth, vocabulary_size)


@dataclass(frozen=True)
class Fixed:
    """No option changes its size."""

    beta: float = 1.0

    def build_module(self, column_sizes, vocabulary_size):
        return layers_of(100, 2, vocabulary_size)


def test_the_option_that_sets_the_width_is_found_by_trying(offered, tokenizer):
    offered(**{"by-units": ByUnits})
    small = {"hidden_size": 48, "embedding_size": 16, "layers": 2}
    lstm, other = spec.make_candidates(("lstm", "by-units"), [small, {}], tokenizer, "parameters")
    counts = [spec.count_parameters(one.name, one.options, tokenizer) for one in (lstm, other)]
    assert counts == pytest.approx([counts[0]] * 2, rel=spec.TOLERANCE)
    assert (other.width, other.options["units"] % 4) == ("units", 0)
    assert spec.make_candidates(("lstm", "by-units"), [small, {}], tokenizer, "width")[1].options == {"units": 48}


def test_variants_of_an_architecture_are_made_equal(tokenizer):
    specs = ("lstm", "lstm: layer-norm=true, recurrent-dropout=0.2", "lstm:layers=1", "lstm:hidden-size=24")
    line = {"hidden_size": 24, "embedding_size": 16, "layers": 2}
    found = spec.make_candidates(specs[:3], [line] * 3, tokenizer, "parameters")
    assert [one.label for one in found] == ["lstm", "lstm:layer_norm=yes,recurrent_dropout=0.2", "lstm:layers=1"]
    counts = [spec.count_parameters(one.name, one.options, tokenizer) for one in found]
    assert counts == pytest.approx([counts[0]] * 3, rel=0.03)
    assert found[1].options.items() >= {"layer_norm": True, "recurrent_dropout": 0.2, "layers": 2}.items()
    assert (found[2].options["layers"], found[2].options["hidden_size"] > 24) == (1, True)
    with pytest.raises(BadOption, match="'lstm' and 'lstm:hidden_size=24' are one network"):
        spec.make_candidates((specs[0], specs[3]), [line] * 2, tokenizer, "parameters")


def test_what_cannot_be_made_equal_is_refused(offered, tokenizer):
    offered(fixed=Fixed)
    with pytest.raises(BadOption, match=r"'fixed' and 'lstm' cannot be made equally large: they come to 31,000 and 3"):
        spec.make_candidates(("lstm", "fixed"), [{}, {}], tokenizer, "parameters")
    with pytest.raises(BadOption, match=r"'fixed' and 'lstm' .* no option of the former sets the width"):
        spec.make_candidates(("lstm", "fixed"), [{}, {}], tokenizer, "width")
    for second in ("lstm", "lstm:hidden-size=24"):
        with pytest.raises(BadOption, match=r"'lstm.*' and 'fixed' .* no option of the latter sets the width"):
            spec.make_candidates(("fixed", second), [{}, {}], tokenizer, "width")


SEARCHED_BEFORE = (
    '{"id": "acccf186e97c7513", "run": {"work": "tune", "recipe": {"dataset": "folder:tunes", "dataset_options": {}, '
    '"tokenizer": {"name": "voices"}, "training": {"device": "cpu", "learning_rate": 0.00548, "seed": 1000, "steps": 4,'
    ' "evaluations": 4, "patience": 4, "checkpoint_every": 60.0}, "architecture": {"name": "gru", "hidden_size": 13, '
    '"embedding_size": 8, "layers": 1, "dropout": 0.167}}, "music": "music"}, "result": {"history": [[4, 0.5, 3.2, 3.3]'
    '], "valid": 3.3, "best_step": 4, "seconds": 1.0, "parameters": 900, "diverged": "", "took": 2.0}, "digest": '
    '"d89ed926e212f2c15064df7043a54730"}'
)
"""A stored run of the search of a plain architecture, from before there were variants."""


def plan_search(*specs, tokenizer):
    """The runs of the search of an experiment, by label."""
    line = {"hidden_size": 12, "embedding_size": 8, "layers": 1}
    recipe = {"dataset": "folder:tunes", "dataset_options": {}, "tokenizer": {"name": "voices"}}
    contenders = spec.make_candidates(specs, [line] * len(specs), tokenizer, "parameters")
    trial = spec.Experiment(
        {**recipe, "training": {"device": "cpu"}}, contenders, ("likelihood",), "music", trials=2, steps=12
    )
    pace = {"step_seconds": 0.01, "validation_seconds": 0.1}
    paces = {make_speed_run(trial, one).identity: pace for one in contenders}
    tuned = [entry for entry in plan_runs(trial, paces) if entry.question == "tuning"]
    return {one.label: [entry.run for entry in tuned if entry.candidate == one.label] for one in contenders}


def test_runs_of_plain_architectures_keep_their_identity(tmp_path, tokenizer):
    (tmp_path / "results.jsonl").write_text(SEARCHED_BEFORE + "\n")
    run = plan_search("lstm", "gru", "gru:dropout=0.1", tokenizer=tokenizer)["gru"][0]
    assert run.identity in ResultStore(tmp_path).read()
    assert json.dumps(run.plain) == json.dumps(json.loads(SEARCHED_BEFORE)["run"])


def test_the_dropout_of_a_variant_is_fixed(tokenizer):
    runs = plan_search("lstm", "lstm:dropout=0.1", "lstm:layer-norm=yes", tokenizer=tokenizer)
    dropouts = {label: {run.recipe["architecture"]["dropout"] for run in of} for label, of in runs.items()}
    assert dropouts["lstm:dropout=0.1"] == {0.1}
    assert dropouts["lstm"] == dropouts["lstm:layer_norm=yes"] == {0.167, 0.333}
    assert len({run.identity for of in runs.values() for run in of}) == 6


def test_steps_fill_the_time():
    paces = {"slow": 0.2, "fast": 0.05}
    assert spec.distribute_steps(paces, "slow", "tokens", 0, 1000, 4) == {"slow": 1000, "fast": 1000}
    assert spec.distribute_steps(paces, "slow", "time", 0, 1000, 4) == {"slow": 625, "fast": 2500}
    assert spec.distribute_steps(paces, "slow", "time", 100, 0, 4) == {"slow": 100, "fast": 400}


def test_the_search_is_the_same_and_spread_out():
    found = tuning.list_choices(8)
    assert found[:4] == tuning.list_choices(4)
    assert len({choice.rate for choice in found}) == len({choice.dropout for choice in found}) == 8
    assert min(c.rate for c in found) < 2e-3 < 1e-2 < max(c.rate for c in found) < 3e-2
    assert [tuning.is_fastest(choice, 8) for choice in found].count(True) == 1
    assert not tuning.is_fastest(found[0], 1)
    assert tuning.choose_best([(found[0], 2.0), (found[1], None), (found[2], 1.5)]) == found[2]
    assert tuning.choose_best([(found[0], None)]) is None


# --- altered music ----------------------------------------------------------------------------------------------------


def test_a_larger_share_of_the_music_holds_the_smaller_one(corpus):
    parts = [
        set(perturbed_data.ReducedCorpus(corpus.folder, share, 3).split("train").tolist()) for share in (0.1, 0.5, 1.0)
    ]
    assert parts[0] < parts[1] < parts[2] == set(corpus.split("train").tolist())
    assert perturbed_data.ReducedCorpus(corpus.folder, 0.1, 3).split("test").tolist() == corpus.split("test").tolist()


def test_wrong_notes_are_in_the_training_pieces_alone(corpus, tokenizer, tmp_path):
    noisy = perturbed_data.build_perturbed(corpus, tokenizer, tmp_path, noise=0.3, seed=1)
    number = {name: place for place, name in enumerate(noisy.names.tolist())}
    for side in ("valid", "test"):
        for piece in corpus.split(side).tolist():
            assert np.array_equal(noisy.read_piece(number[str(piece)]), corpus.read_piece(piece))
            assert number[str(piece)] in noisy.split(side)
    changed = [
        not np.array_equal(noisy.read_piece(p), corpus.read_piece(int(noisy.names[p]))) for p in noisy.split("train")
    ]
    assert np.mean(changed) > 0.9


def test_as_many_notes_are_wrong_as_asked():
    score = next(iter(Walks().read("walk 3")))[1]
    tracks = tuple(replace(track, notes=np.tile(track.notes, 50)) for track in score.tracks)
    found = perturbed_data.add_wrong_notes(replace(score, tracks=tracks), 0.2, np.random.default_rng(0))
    for before, after in zip(tracks, found.tracks, strict=True):
        off = np.sort(before.notes["pitch"]) != np.sort(after.notes["pitch"])
        assert len(after.notes) == len(before.notes)
        assert off.any()


# --- probes -----------------------------------------------------------------------------------------------------------


def test_contexts_are_as_long_as_enough_pieces():
    assert probes.list_contexts([np.arange(20)] * 4) == (1, 2, 4, 8, 16)  # 19 bars each
    assert probes.list_contexts([np.arange(20), *[np.arange(9)] * 4]) == (1, 2, 4)  # one in five is long
    assert probes.list_contexts([np.arange(3)]) == (1,)


def test_a_network_without_a_past_gains_nothing_from_context(corpus, tokenizer):
    import torch

    class Forgetful(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(len(tokenizer.vocabulary), len(tokenizer.vocabulary))

        def forward(self, inputs, state=None):
            return self.table(inputs[..., 0]), (torch.zeros(len(inputs), 1),)

    found = probes.measure_context_gain(Forgetful(), corpus, tokenizer, corpus.split("train"))
    values = list(found["nats_per_note"].values())
    assert values == pytest.approx([values[0]] * len(values), abs=1e-4)


def test_gradients_fade_as_the_network_says(corpus, tokenizer):
    import torch

    class Halving(torch.nn.Module):
        """Half of the state stays at each step: the gradient halves with the lag."""

        def forward(self, inputs, state=None):
            here = torch.zeros(len(inputs), 1) if state is None else state[0]
            hidden = []
            for _ in range(inputs.shape[1]):
                here = 0.5 * here
                hidden.append(here)
            logits = torch.zeros(*inputs.shape[:2], len(tokenizer.vocabulary))
            logits[..., :1] = torch.stack(hidden, dim=1)
            return logits, (here,)

    found = probes.measure_gradients(Halving(), corpus, corpus.split("train"))
    assert found["1"] == 1
    assert [found[lag] for lag in ("2", "4", "8")] == pytest.approx([0.5, 0.5**3, 0.5**7], rel=1e-2)


def test_motifs_come_again_after_their_gaps(tmp_path):
    found, gaps, sides = probes.make_pieces(seed=5)
    assert len({len(piece) for piece, side in zip(found, sides, strict=True) if side == "train"}) == 1
    for piece, gap in zip(found, gaps, strict=True):
        back = probes.MOTIF + gap + 1
        assert np.array_equal(piece[: probes.MOTIF], piece[back : back + probes.MOTIF])
        assert (piece[probes.MOTIF : back - 1] == probes.EMPTY).all()
    music = probes.write_corpus(tmp_path, seed=5)
    assert {side: len(music.split(side)) for side in probes.PIECES} == probes.PIECES
    learnt = {gap for gap, side in zip(gaps, sides, strict=True) if side != "test"}
    assert (learnt, set(gaps)) == (set(probes.GAPS), {*probes.GAPS, *probes.LONGER})


# --- the whole --------------------------------------------------------------------------------------------------------


def without_times(results):
    """What does not depend on how fast the machine is."""
    measured = ("took", "seconds", "step_seconds", "validation_seconds", "load")
    return {
        identity: {k: v for k, v in result.items() if k not in measured and not k.startswith("write_")}
        for identity, result in results.items()
    }


class Page(HTMLParser):
    """Counts the elements, and what a page asks for from elsewhere."""

    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]


@pytest.fixture
def folder(tunes, monkeypatch):
    monkeypatch.chdir(tunes.parent)
    monkeypatch.setattr(cost, "TRIED", (1, 3))
    monkeypatch.setattr(cost, "WRITTEN", 8)
    return tunes.parent


@pytest.mark.soak
def test_stopped_anywhere_and_gone_on_with_it_ends_alike(folder, run, monkeypatch):
    assert run(*LINE, *SMALL).status == 0
    whole = ResultStore(folder / "t").read()
    assert len(whole) == 2 + 2 * 2 + 2 * 2
    train, calls = worker.training.train, []

    def stopped(*arguments, **options):
        """Every sixth training is stopped after its first validation."""
        calls.append(None)

        def stop(moment):
            if moment.event == "validation":
                raise KeyboardInterrupt

        return train(*arguments, **options, listeners=[stop] if len(calls) % 6 == 0 else [])

    monkeypatch.setattr(worker.training, "train", stopped)
    line = [*LINE[:-1], "again"]
    statuses = [run(*line, *SMALL).status for _ in range(4)]
    assert statuses[0] == 130
    assert statuses[-1] == 0
    assert without_times(ResultStore(folder / "again").read()) == without_times(whole)
    assert not list((folder / "again" / "running").iterdir())


def test_a_trial_ends_in_a_report(folder, run):
    line = [*LINE[:5], "--steps", 4, "--seeds", 1, "--trials", 1, "--out", "t", *SMALL[:-1], "music"]
    assert run(*line).status == 0
    found = run(*line, "--report")
    assert "nats per note" in found.out
    page = (folder / "t" / "report.html").read_text()
    seen = Page()
    seen.feed(page)
    assert seen.tags.count("figure") == seen.tags.count("details") >= 4
    assert not seen.links
    for said in ("not decided", "What each writes", "real test pieces", "<code>composer ", "Times are of one thread"):
        assert said in page
    report = json.loads(run(*line, "--report", "--json").out)
    assert report == json.loads((folder / "t" / "report.json").read_text())
    assert [row["number"] for row in report["claims"]] == list(range(1, 21))
    assert [row["detectable"] for row in (*report["claims"], *report["pairs"])] == [None] * 21
    assert set(report["last_fifth"]) == {"lstm", "gru"}
    assert {row["number"]: row["finding"] for row in report["claims"]}[2] == "held"
    assert report["missing"] == []
    assert 0 <= report["music"]["gru"]["0"]["copied"]["share"] <= 1
    models = sorted((folder / "t" / "models").glob("*.safetensors"))
    assert [path.name[:5] for path in models] == ["gru-0", "lstm-"]


def test_one_that_fails_is_named_and_the_others_go_on(folder, run, monkeypatch):
    from composer_recurrent.options import Gru

    def broken(self):
        raise RuntimeError("no such layer")

    monkeypatch.setattr(Gru, "build_recurrence", broken)
    found = run("compare", "lstm", "gru", "rnn", *LINE[3:], *SMALL, "--seeds", 1, "--trials", 1, "--steps", 4)
    assert found.status == 0
    assert re.search(r"missing: gru, cost: .*no such layer", found.err)
    assert "gru" in (folder / "t" / "report.html").read_text().split("What is missing")[1]
    assert "rnn" in found.out


def test_the_plan_trains_nothing_but_short_runs(folder, run):
    found = run("compare", "lstm", "lstm:layer-norm=true,dropout=0.1", *LINE[3:], *SMALL[:-1], "all", "--plan")
    assert found.status == 0
    assert len(ResultStore(folder / "t").read()) == 2
    for word in ("tuning", "stability", "dropout", "About"):
        assert word in found.out


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("compare", "lstm"), "at least two architectures"),
        (("compare", "lstm", "lstm"), "each once"),
        (("compare", "lstm", "gru:layer-norm=yes"), "architecture 'gru' has no option 'layer_norm'"),
        (("compare", "lstm", "lstm:layer-norm=perhaps"), "'layer_norm' is 'perhaps', which is not bool"),
        (("compare", "lstm", "lstm:recurrent-dropout=2"), "must be at least 0 and less than 1"),
        (("compare", "lstm", "gru:hidden-size=9", "--match", "width"), "the former's width is 9, the latter's 128"),
        (("compare", "lstm", "grru"), "did you mean 'gru'"),
        (("compare", "lstm", "gru", "--match", "luck"), "cannot be equal"),
        (("compare", "lstm", "gru", "--time", "soon"), "invalid time"),
        (("compare", "lstm", "gru", "--questions", "why"), "unknown question"),
    ],
)
def test_mistakes_are_told_in_one_sentence(folder, run, wrong, said):
    found = run(*wrong, "--dataset", "folder:tunes")
    assert found.status == 2
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_folder_in_which_another_comparison_works_is_left_alone(folder, run):
    with hold_lock(folder / "t"):
        found = run(*LINE, *SMALL)
    assert found.status == 1
    assert found.err.splitlines()[-1] == "composer: t: another run is at work there; let it end."


def test_a_dataset_of_one_piece_is_refused(folder, run):
    for path in sorted((folder / "tunes").iterdir())[1:]:
        path.unlink()
    found = run("compare", "lstm", "gru", "--dataset", "folder:tunes")
    assert found.status == 2
    assert "at least 3 are needed" in found.err


def results_of(*failures):
    """The runs of a ledger, and what they came to."""
    runs = [{"work": "tune", "music": text} for text in failures]
    return [(compute_identity(run), run, {"failure": text}) for run, text in zip(runs, failures, strict=True)]


def test_a_torn_line_is_done_again(tmp_path):
    ledger, (one, three) = ResultStore(tmp_path), results_of("one", "three")
    ledger.add(*one)
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"id": "four", "result": 4}\n' + "[" * 100_000 + "\n" + '{"id": "two", "resu')
    ledger.add(*three)
    assert ledger.read() == {one[0]: one[2], three[0]: three[2]}


def test_a_line_that_a_disk_has_changed_is_done_again(tmp_path):
    ledger, (one, two) = ResultStore(tmp_path), results_of("one", "two")
    ledger.add(*one)
    ledger.add(*two)
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text().replace("one", "eno"))
    assert ledger.read() == {two[0]: two[2]}


@pytest.mark.parametrize("result", [{"valid": 1.0}, {"failure": 5}, [], None])
def test_a_result_that_no_run_comes_to_is_not_believed(tmp_path, result):
    ((identity, run, _),) = results_of("one")
    ledger = ResultStore(tmp_path)
    ledger.add(identity, run, result)
    ledger.add("another", run, {"failure": "one"})
    assert ledger.read() == {}


@pytest.mark.parametrize("name", ["results.jsonl", "running", "models"])
def test_a_link_in_the_folder_leads_nowhere(folder, run, name):
    (folder / "t").mkdir()
    (folder / "elsewhere").mkdir()
    aim = folder / "elsewhere" / "results" if name.endswith("jsonl") else folder / "elsewhere"
    (folder / "t" / name).symlink_to(aim)
    found = run(*LINE, *SMALL)
    assert found.status == 2
    assert "is a link" in found.err.splitlines()[-1]
    assert not list((folder / "elsewhere").iterdir())


def test_music_that_changed_is_not_trained_on(tmp_path):
    from composer_compare.plan import ExperimentRun

    dataset = {"dataset": "folder:nowhere", "dataset_options": {}, "tokenizer": {"name": "remi"}}
    found = worker.run_one(str(tmp_path), ExperimentRun("tune", {**dataset, "training": {"seed": 0}}, "other music"))
    assert set(found) == {"failure", "took"}


# --- claims and plots -------------------------------------------------------------------------------------------------


def test_a_claim_is_decided_by_its_interval():
    states = [
        judging.judge_difference(statistics.estimate_from_seeds(values), "x").state
        for values in ([-1.0, -1.1, -0.9], [1.0, 1.1, 0.9], [-1.0, 1.0, 0.1], [-1.0])
    ]
    assert states == ["held", "not held", "not decided", "not decided"]
    assert judging.judge_difference(None, "x").state == "not decided"


def test_an_undecided_claim_says_what_would_have_been_seen():
    sure, unsure, lone = (
        judging.judge_difference(statistics.estimate_from_seeds(values), "x")
        for values in ([-1.0, -1.1, -0.9], [-0.01, 0.01, 0.0], [-1.0])
    )
    assert sure.detectable == pytest.approx((4.303 + 1.061) * 0.1 / np.sqrt(3), rel=1e-3)
    assert sure.words == sure.figure
    assert unsure.words == f"{unsure.figure}; a difference of 0.031 nats per note would have been seen"
    assert (lone.detectable, lone.words) == (None, "x: -1.000 nats per note, from one seed")
    assert judging.combine_findings([unsure, unsure], "both").words == "both"  # no one difference decides


@pytest.mark.parametrize(
    ("nats", "share"),
    [
        ([3.0, 2.0, 1.5, 1.1, 1.0], 0.05),
        ([3.0, 2.5, 2.0, 1.5, 1.0], 0.25),
        ([3.0, 1.0, 1.0, 1.0, 2.9], 0.0),  # the weights that are kept came before
        ([3.0, 1.0, 1.0, 1.0, 4.0], 0.0),
        ([1.0] * 5, None),
        ([1.0, 1.5, 2.0, 2.5, 3.0], None),
    ],
)
def test_flat_curves_gain_little_in_the_last_fifth(nats, share):
    history = [[step, 0.1, 2.0, valid] for step, valid in zip((20, 40, 60, 80, 100), nats, strict=True)]
    assert results.compute_last_fifth({"history": history}) == (share and pytest.approx(share))
    assert results.compute_last_fifth({"history": history[-1:]}) is None


def test_claims_of_those_who_had_no_part_are_not_decided():
    nobody = spec.Experiment(
        {"training": {}}, (spec.Candidate("mingru", {}), spec.Candidate("minlstm", {})), (), "music"
    )
    found = claims.judge_claims(Results(nobody, {}))
    assert {finding.state for claim, finding in found if claim.number != 16} == {"not decided"}


class Gradients:
    """What a trial found of gradients over 32 and 64 tokens, one of each seed."""

    def __init__(self, **by_name):
        self.by_name = by_name

    def select(self, question, name, level=1.0):
        assert question == "likelihood"
        found = self.by_name.get(name, ())
        return {seed: {"gradients": {"32": norm, "64": norm}} for seed, norm in enumerate(found)}


GATED = {"lstm": (0.01, 0.06, 0.2), "gru": (0.9, 1.1, 0.7)}


@pytest.mark.parametrize(
    ("found", "short_memory", "gru_too"),
    [
        (Gradients(rnn=(1e-20, 1e-17, 1e-24), **GATED), "held", "not held"),
        (Gradients(rnn=(0.9, 0.1, 0.02), **GATED), "not decided", "not held"),
        (Gradients(rnn=(1.0, 3.0, 2.0), lstm=(1e-3, 1e-3, 1e-4), gru=(1e-3, 3e-4, 1e-4)), "not held", "held"),
        (Gradients(rnn=(1e-20, 1e-14, 0.0)), "not decided", "not decided"),
    ],
)
def test_gradients_are_told_apart_by_powers_of_ten(found, short_memory, gru_too):
    assert judging.judge_rnn_fading(found).state == short_memory
    assert judging.judge_gru_fading(found).state == gru_too


def test_a_difference_that_would_have_been_seen_says_from_where_it_counts():
    faded = judging.judge_gru_fading(Gradients(gru=(0.1, 0.2, 0.05)))
    assert faded.words.endswith("0.93 powers of ten from a tenth would have been seen")
    longer = judging.judge_lengths(Lengths(lstm=(0.5, -0.4, 0.1), gru=(0.1, 0.12, 0.11)))
    assert longer.words.endswith("nats per note beyond the margin of 0.05 would have been seen")


class Lengths:
    """What a trial found of a shorter and of a longer piece, by how much harder the longer is, one of each seed."""

    def __init__(self, **harder):
        self.names, self.harder = ("lstm", "gru", *(harder.keys() - {"lstm", "gru"})), harder

    def select(self, question, name, level=1.0):
        both = {"tokens": [900, 100], "notes": [300, 50]}
        harder = enumerate(self.harder.get(name, ()))
        return {seed: {"test": {**both, "nats": [300 * (2 + more), 100]}} for seed, more in harder}


def test_a_longer_piece_may_be_harder_for_all_but_not_for_lstm_alone():
    def state(**harder):
        return judging.judge_lengths(Lengths(**harder)).state

    assert state(lstm=(0.1, 0.11, 0.12), gru=(0.1, 0.12, 0.11)) == "held"
    assert state(lstm=(0.9, 0.8, 0.7), gru=(0.1, 0.12, 0.11)) == "not held"
    assert state(lstm=(0.5, -0.4, 0.1), gru=(0.1, 0.12, 0.11)) == "not decided"
    assert state(lstm=(0.1, 0.11, 0.12)) == "not decided"
    assert state(lstm=(0.1, 0.11, 0.12), **{"lstm:layers=1": (0.1, 0.12, 0.11)}) == "not decided"  # no other


def test_a_plot_says_in_numbers_what_it_draws():
    figure = plot("T", "bars", "nats", {"<b>": [Point(1, 2.5, 2.4, 2.6), Point(2, 2.0)], "two": [Point(1, 3.0)]})
    assert "<b>" not in figure
    assert "2.5 [2.4, 2.6]" in figure
    assert plot("T", "x", "y", {"one": []}) == ""


def test_plots_share_a_page_and_its_colours():
    lines = {"one": [Point(1, 2.0, 1.0, 3.0), Point(2, 1e-9)], "$two": [Point(1, 3.0), Point(2, float("nan"))]}
    first, second = (plot("T", "x", "y", lines, log_x=True, log_y=True, number=n) for n in (0, 1))
    assert second.replace("plot-1", "plot-0") == first
    assert first.count("var(--c0)") > first.count("plot-1") == 0
    names = re.findall(r' id="([^"]*)"', first + second)
    assert len(names) == len(set(names))


def test_explain_counts_and_says(run):
    lstm, gru = (json.loads(run("explain", name, "--json").out) for name in ("lstm", "gru"))
    assert (lstm["gates"], gru["gates"]) == (3, 2)
    assert (lstm["state_tensors"], gru["state_tensors"]) == (2, 1)
    assert lstm["parameters"] > gru["parameters"] > 10_000
    text = run("explain", "gru", "--hidden-size", 32).out
    for word in ("r * (U_n h + d_n)", "torch", "Parameters", "hidden_size 32"):
        assert word in text


def test_explain_counts_what_says_nothing_of_itself():
    import torch

    from composer_compare.cost import count_size
    from composer_compare.probes import SYMBOLS

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(1, 7)

        def forward(self, inputs, state=None):
            return self.head(inputs[..., :1].float()), (torch.zeros(len(inputs), 3),)

    found = count_size(SimpleNamespace(build_module=lambda sizes, words: Plain()), SYMBOLS)
    assert (found["parameters"], found["multiply_adds"], found["state_bytes"], found["gates"]) == (14, 7, 12, None)
