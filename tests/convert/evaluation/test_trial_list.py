from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_unlock_convert.corpus import Utterance
from edge_unlock_convert.errors import SpeechError
from edge_unlock_convert.evaluation import trial_list


def a_sound(path: Path, samples: int = 800) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(samples, 0.1, np.float32), 16_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("ann/1", "ann/2", "bob/1", "bob/2"):
        a_sound(tmp_path / f"{name}.wav")
    return tmp_path


def written(root: Path, text: str) -> Path:
    path = root / "trials"
    path.write_text(text)
    return path


def faults(root: Path, text: str) -> list[str]:
    with pytest.raises(SpeechError) as raised:
        trial_list.read(written(root, text), None, {})
    return [line.removeprefix(f"{root}/trials:") for line in str(raised.value).splitlines()[1:]]


VOXCELEB = "1 ann/1.wav ann/2.wav\n0 ann/1.wav bob/1.wav\n0 bob/1.wav ann/2.wav\n"


def test_a_list_of_voxceleb(root: Path) -> None:
    found = trial_list.read(written(root, VOXCELEB), None, {})
    paths = [one.path.relative_to(root).as_posix() for one in found.recordings]
    pairs = [
        (paths[found.templates[template][0]], paths[test], bool(label))
        for template, test, label in zip(found.template, found.test, found.is_target, strict=True)
    ]
    assert pairs == [
        ("ann/1.wav", "ann/2.wav", True),
        ("ann/1.wav", "bob/1.wav", False),
        ("bob/1.wav", "ann/2.wav", False),
    ]
    speakers = dict(zip(paths, found.speakers.tolist(), strict=True))
    assert speakers["ann/1.wav"] == speakers["ann/2.wav"] != speakers["bob/1.wav"]


def test_the_recordings_may_lie_elsewhere(root: Path, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("lists")
    found = trial_list.read(written(elsewhere, VOXCELEB), root, {})
    assert {one.path.parent.parent for one in found.recordings} == {root}


def test_where_folders_say_nothing_target_trials_link_the_speakers(root: Path) -> None:
    for name in "abc":
        a_sound(root / "all" / f"{name}.wav")
    text = "1 all/a.wav all/b.wav\n0 all/a.wav all/c.wav\n"
    one, two, three = trial_list.read(written(root, text), None, {}).speakers.tolist()
    assert one == two != three
    wrong = faults(root, text + "0 all/b.wav all/a.wav\n")
    assert wrong == ["3: the label is wrong: all else tells of one speaker"]


def test_names_may_be_whole_paths(root: Path, tmp_path_factory) -> None:
    text = VOXCELEB.replace(" ", f" {root}/")
    elsewhere = tmp_path_factory.mktemp("lists")
    assert len(trial_list.read(written(elsewhere, text), elsewhere, {}).test) == 3


def kaldi(root: Path, trials: str) -> Path:
    names = {"a1": "ann/1.wav", "a2": "ann/2.wav", "b1": "bob/1.wav", "b2": "bob/2.wav"}
    (root / "wav.scp").write_text("".join(f"{name} {path}\n" for name, path in names.items()))
    (root / "utt2spk").write_text("a1 ann\na2 ann\nb1 bob\nb2 bob\n")
    return written(root, trials)


def test_a_list_of_kaldi(root: Path) -> None:
    found = trial_list.read(kaldi(root, "a1 a2 target\na1 b1 nontarget\n"), None, {})
    assert found.is_target.tolist() == [True, False]
    assert found.templates == [(0,)]
    assert [found.recordings[one].path.name for one in found.test] == ["2.wav", "1.wav"]


def test_kaldi_enrolls_a_speaker_with_all_that_is_not_tested(root: Path) -> None:
    a_sound(root / "ann" / "3.wav")
    path = kaldi(root, "ann a1 target\nann b1 nontarget\n")
    with (root / "wav.scp").open("a") as scp, (root / "utt2spk").open("a") as speakers:
        scp.write("a3 ann/3.wav\n")
        speakers.write("a3 ann\n")
    found = trial_list.read(path, None, {})
    (template,) = found.templates
    assert {found.recordings[one].path.name for one in template} == {"2.wav", "3.wav"}


def test_what_kaldi_says_of_speakers_counts(root: Path) -> None:
    with pytest.raises(SpeechError, match=r"trials:2: the label is wrong.*different speakers"):
        trial_list.read(kaldi(root, "a1 a2 target\na1 b1 target\na2 b1 nontarget\n"), None, {})


def test_kaldi_tests_one_utterance(root: Path) -> None:
    with pytest.raises(SpeechError, match="bob is not one utterance"):
        trial_list.read(kaldi(root, "a1 a2 target\na1 bob nontarget\n"), None, {})


def test_a_command_in_a_list_of_kaldi_is_not_run(root: Path) -> None:
    path = kaldi(root, "a1 a2 target\na1 b1 nontarget\n")
    (root / "wav.scp").write_text(f"a1 touch {root}/ran |\n")
    with pytest.raises(SpeechError, match=r"wav\.scp:1: names a command"):
        trial_list.read(path, None, {})
    assert not (root / "ran").exists()


def test_kaldi_without_its_other_files_is_refused(root: Path) -> None:
    with pytest.raises(SpeechError, match=r"wav\.scp"):
        trial_list.read(written(root, "a b target\n"), None, {})


def test_all_faults_are_told_by_line(root: Path) -> None:
    (root / "ann" / "noise.wav").write_text("no audio")
    (root / "ann" / "none.wav").touch()
    a_sound(root / "ann" / "empty.wav", 0)
    text = VOXCELEB + (
        "1 ann/1.wav ann/missing.wav\n"
        "2 ann/1.wav bob/2.wav\n"
        "1 ann/1.wav ann/2.wav\n"
        "1 ann/1.wav bob/1.wav\n"
        "\n"
        "0 ann/1.wav\n"
        "1 ann/1.wav ann/noise.wav\n"
        "1 ann/1.wav ann/empty.wav\n"
        "1 ann/1.wav ann\n"
        "1 ann/2.wav ann/2.wav\n"
    )
    assert faults(root, text) == [
        f"4: there is no file {root}/ann/missing.wav",
        "5: the label '2' is not 1 or 0",
        "6: says the same as line 1",
        "7: says the contrary of line 2",
        "9: has 2 fields instead of 3",
        f"10: {root}/ann/noise.wav is not audio",
        f"11: {root}/ann/empty.wav holds no sound",
        f"12: there is no file {root}/ann",
        "13: ann/2.wav is compared with itself",
    ]


def test_of_very_many_faults_some_are_shown(root: Path) -> None:
    text = VOXCELEB + "".join(f"1 ann/1.wav ann/{number}x.wav\n" for number in range(100))
    found = faults(root, text)
    assert len(found) == 51 and found[-1] == "and 50 more"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1 ann/1.wav ann/2.wav\n", "target trials to the last, line 1"),
        ("0 ann/1.wav bob/2.wav\n", "non-target trials"),
        ("\n", "no trials"),
    ],
)
def test_one_kind_of_trial_is_refused(root: Path, text: str, kind: str) -> None:
    with pytest.raises(SpeechError, match=kind):
        trial_list.read(written(root, text), None, {})


def test_a_list_that_is_no_text_is_refused(root: Path) -> None:
    (root / "trials").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpeechError, match="cannot read"):
        trial_list.read(root / "trials", None, {})


def test_what_a_manifest_tells_is_taken(root: Path) -> None:
    known = {
        root / f"{name}/{number}.wav": Utterance(
            root / f"{name}/{number}.wav", "", "c", f"c/{name}", sex, session=f"day {number}"
        )
        for name, sex in (("ann", "f"), ("bob", "m"))
        for number in (1, 2)
    }
    found = trial_list.read(written(root, VOXCELEB), None, known)
    assert {one.sex for one in found.recordings} == {"f", "m"}
    assert not found.same_session.any()
