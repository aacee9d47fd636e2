"""The page tells all that the figures do, and needs nothing but itself."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from edge_unlock_convert.evaluation import plots, report
from edge_unlock_convert.evaluation.breakdown import Group, worst
from edge_unlock_convert.evaluation.figures import measure
from edge_unlock_convert.evaluation.measurement import COMMON, Measurement, Result, Row
from edge_unlock_convert.evaluation.tally import Scored
from edge_unlock_convert.scoring.metrics import Trials


@pytest.fixture(scope="module")
def found() -> Measurement:
    generator = np.random.default_rng(0)
    enrolled, tested = (one.ravel() for one in np.indices((20, 100)))
    scores = np.where(enrolled == tested % 20, 4.0, -4.0) + generator.normal(0, 3, len(tested))
    trials = Trials(scores, enrolled, tested % 20, np.arange(len(tested)))
    scored = Scored(trials, scores, {"far-1e-2": scores > 3})
    figures = measure(scored, 10)
    groups = [
        Group(
            by="language",
            name=name,
            figures=measure(
                scored._replace(accepted={COMMON: scores > 3}).only(part), 10, brief=True
            ),
        )
        for name, part in (("<Ελληνικά>", tested < 50), ("italiano", tested >= 50))
    ]
    result = Result(
        recordings=100,
        refused=7,
        rows=[Row(system="package & more", scoring="likelihood ratio", figures=figures)],
        groups=groups,
        worst=worst(groups),
        subject={"package": "tiny, version 1", "speech": "a <b> folder"},
    )
    return Measurement(result, [scored])


def test_the_page_is_whole_and_loads_nothing(found: Measurement) -> None:
    page = report.page(found, report.pictures(found))
    assert page.count("<svg") == page.count("</svg>") == 4
    assert "prefers-color-scheme: dark" in page
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'> ]+)|url\(([^)]*)\)|@import""", page)
    assert all(one.startswith("#") for pair in loaded for one in pair if one)
    assert "<script" not in page and "<link" not in page


def test_names_are_text_and_no_markup(found: Measurement) -> None:
    page = report.page(found, report.pictures(found))
    assert "package &amp; more" in page and "a &lt;b&gt; folder" in page
    assert "<b>" not in page and "<Ελληνικά>" not in page


def test_the_worst_group_is_named(found: Measurement) -> None:
    assert found.result.worst is not None
    assert f"language: {found.result.worst.name}".replace("<", "&lt;").replace(
        ">", "&gt;"
    ) in report.page(found, report.pictures(found))


def test_pictures_take_the_ink_of_the_page_and_are_the_same_again(found: Measurement) -> None:
    for name, (figure, _) in report.pictures(found).items():
        drawn = plots.svg(figure)
        ElementTree.fromstring(drawn)  # well-formed
        assert plots.INK not in drawn and "currentColor" in drawn, name
        assert "#ffffff" not in drawn  # no white box on a dark page
        inks = re.findall('<text style="([^"]*)"', drawn)
        assert inks and all("currentColor" in one for one in inks), name
    assert report.files(found) == report.files(found)


def test_all_files_are_there(found: Measurement) -> None:
    made = report.files(found)
    assert set(made) == {
        *("report.html", "figures.json"),
        *("det.png", "tippett.png", "scores.png", "groups.png"),
    }
    for name, data in made.items():
        assert not name.endswith("png") or data.startswith(b"\x89PNG")


def test_the_det_plot_keeps_the_ends_and_few_points() -> None:
    far, frr = np.linspace(1, 0, 100_000), np.linspace(0, 1, 100_000)
    rows = plots._thinned(far, frr)
    assert rows[0] == 0 and rows[-1] == 99_999 and len(rows) <= plots.MOST_POINTS + 2
