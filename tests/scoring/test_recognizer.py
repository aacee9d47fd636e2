import math

import msgspec
import numpy as np
import pytest

from edge_unlock.encoder.calibration import Quality
from edge_unlock.encoder.similarity import unit
from edge_unlock.scoring.band import Band
from edge_unlock.scoring.candidates import DECOY_UTTERANCES, LARGEST_HOUSEHOLD, NEAR
from edge_unlock.scoring.recognizer import Recognizer, Voice
from edge_unlock.scoring.scorer import Scorer, accepts
from edge_unlock.vault import ModelIdentity, Template
from edge_unlock.vault.record import Place, PlaceEntry, utc_now

POINTS = (None, "far-1e-3", "far-0.003")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def identity(package):
    manifest = package.manifest
    return ModelIdentity(
        package.sha256, manifest.front_end_sha256(), manifest.encoder.embedding_size
    )


def people(rng, count, size, first=0):
    """Made templates, of one to four utterances, decided about more or less strictly."""
    made = []
    for number in range(first, first + count):
        said = rng.normal(size=size) + 0.5 * rng.normal(size=(1 + number % 4, size))
        rows = unit(said.astype(np.float32))
        made.append(Template(f"p{number}", rows, "", 1, POINTS[number % 3]))
    return made


def said_by(rng, template, noise):
    direction = template.embeddings.mean(axis=0) + noise * rng.normal(size=192) / np.sqrt(192)
    return Voice(unit(direction.astype(np.float32)), Quality(2.5, 2.2), 8000.0, None)


def one_by_one(scorer, templates, others, voice, strictness):
    """The same decision, of whom, by what score and threshold, and who was near: a plain loop."""
    directions = {one.user: scorer.template(one.embeddings) for one in (*templates, *others)}
    best, near = None, []
    for one, factor in zip(templates, strictness, strict=True):
        if math.isnan(factor):
            continue
        rest = [row for user, row in directions.items() if user != one.user]
        is_household = 1 < len(directions) <= LARGEST_HOUSEHOLD
        row = directions[one.user]
        score = scorer.score(
            scorer.decoy(row) if one.is_decoy else row,
            voice.embedding,
            np.stack(rest) if is_household else None,
        )
        about = {
            "quality": voice.quality,
            "enrolled": DECOY_UTTERANCES if one.is_decoy else len(one.embeddings),
        }
        point = one.operating_point
        threshold = scorer.threshold(point, candidates=len(templates) * factor, **about)
        far = scorer.false_accept_rate(score, candidates=len(templates), **about)
        rate = scorer.false_accept_rate(threshold, candidates=len(templates), **about)
        if far is None or far <= NEAR * scorer.rate(point) / factor:
            near.append(one.user)
        accepted = accepts(score, threshold) and not one.is_decoy
        band = Band.of(score, threshold, accepted=accepted, far=far, rate=rate)
        if best is None or score - threshold > best[2] - best[3]:
            best = (one.user, accepted, score, threshold, far, band)
    return best, near


def place_of(rng, identity):
    voices = unit(rng.normal(size=(4, 192)).astype(np.float32))
    return Place(PlaceEntry(utc_now(), 4, 0.03, "", identity), voices)


@pytest.mark.parametrize("kind", ["rates", "evidence", "neither"])
@pytest.mark.parametrize(("count", "more"), [(1, 0), (1, 5), (2, 0), (50, 0), (51, 0), (300, 0)])
@pytest.mark.parametrize("placed", [False, True])
def test_all_at_once_decides_as_one_by_one(rng, package, identity, kind, count, more, placed):
    without = {"rates": (), "evidence": ("nontarget",), "neither": ("nontarget", "calibration")}
    manifest = msgspec.structs.replace(package.manifest, **dict.fromkeys(without[kind]))
    scorer = Scorer(package._replace(manifest=manifest))
    templates, others = people(rng, count, 192), people(rng, more, 192, first=count)
    if kind != "rates":
        templates = [
            Template(one.user, one.embeddings, "", 1, one.operating_point and "far-1e-3")
            for one in templates
        ]
    place = place_of(rng, identity) if placed else None
    recognizer = Recognizer(None, scorer, identity)
    recognizer.know(templates, others, place)
    plain = scorer if place is None else scorer.placed(place.voices, place.entry.shift)
    wanted = rng.choice([1.0, 3.0, 10.0, 30.0, math.nan], size=count) if count > 1 else np.ones(1)
    wanted[-1] = 3.0
    strictness = recognizer.strictness(wanted)
    decided = set()
    for noise in (0.0, 0.5, 1.5, 2.0, 3.0, 6.0):
        voice = said_by(rng, templates[-1], noise)
        (user, accepted, score, threshold, far, band), near = one_by_one(
            plain, templates, others, voice, strictness
        )
        decision, found_near = recognizer.compare(voice, strictness)
        decided.add(decision.decision)
        assert decision.is_accepted == accepted
        assert decision.user == (user if accepted else None)
        assert decision.match == band
        assert decision.score == pytest.approx(score, abs=1e-4)
        assert decision.threshold == pytest.approx(threshold, abs=1e-4)
        assert decision.far == (None if far is None else pytest.approx(far, rel=0.05))
        assert list(found_near) == near
        assert decision.candidates == () and decision.none_llr is None
    assert decided == {"accepted", "rejected"}


def test_a_decoy_is_compared_with_and_never_accepted(rng, package, identity):
    scorer = Scorer(package)
    (mine,) = people(rng, 1, 192)
    decoy = Template("zoe", mine.embeddings, "", 0, None, is_decoy=True)
    recognizer = Recognizer(None, scorer, identity)
    recognizer.know([decoy], people(rng, 3, 192, first=1))
    nearest = scorer.decoy(scorer.template(mine.embeddings))
    decision, near = recognizer.compare(Voice(nearest, Quality(2.5, 2.2), 8000.0, None), np.ones(1))
    assert decision.decision == "rejected" and decision.score > decision.threshold
    assert near == ("zoe",) and decision.match != Band.CLEAR


def test_candidates_are_ranked_as_they_would_be_accepted(rng, package, identity):
    templates = people(rng, 80, 192)
    recognizer = Recognizer(None, Scorer(package), identity, told=10)
    recognizer.know(templates)
    strictness = np.ones(80)
    strictness[3] = math.nan  # locked out: not compared, and not told
    voice = said_by(rng, templates[5], 0.5)
    decision, _ = recognizer.compare(voice, strictness)
    assert decision.candidates[0].user == decision.user == "p5"
    margins = [one.score - one.threshold for one in decision.candidates]
    assert len(margins) == 10 and margins == sorted(margins, reverse=True)
    assert "p3" not in {one.user for one in decision.candidates}
    recognizer = Recognizer(None, Scorer(package), identity, told=1000)
    recognizer.know(templates)
    assert len(recognizer.compare(voice, strictness)[0].candidates) == 79


def test_none_of_them_is_weighed_against_all_who_were_compared(rng, package, identity):
    templates = people(rng, 60, 192)
    scorer = Scorer(package)
    recognizer = Recognizer(None, scorer, identity, told=60)
    recognizer.know(templates)
    for noise, is_known in ((0.5, True), (50.0, False)):
        voice = said_by(rng, templates[5], noise)
        decision, _ = recognizer.compare(voice, np.ones(60))
        ratios = [one.llr for one in decision.candidates]
        expected = -math.log(sum(math.exp(ratio) for ratio in ratios) / 60)
        assert decision.none_llr == pytest.approx(expected)
        assert (decision.none_llr < 0) == is_known == decision.is_accepted


def test_nobody_to_compare_with_is_told(rng, package, identity):
    recognizer = Recognizer(None, Scorer(package), identity, told=3)
    voice = said_by(rng, people(rng, 1, 192)[0], 0.0)
    recognizer.know([])
    assert recognizer.compare(voice, np.ones(0)).decision.reason == "nobody is enrolled"
