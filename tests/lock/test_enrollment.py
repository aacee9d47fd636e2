import numpy as np
import pytest

from edge_unlock.errors import EnrollmentError
from edge_unlock.lock.enrollment import Enrollment
from edge_unlock.lock.hearing import Heard
from edge_unlock.scoring.scorer import Scorer
from edge_unlock.segmentation.quality import Fault


@pytest.fixture
def enrollment(package, encoder):
    return Enrollment(encoder, Scorer(package), wanted=4)


def test_good_utterances_make_unit_embeddings(enrollment, heard, encoder):
    for number, utterance in enumerate(heard["alice"][:4]):
        assert enrollment.progress == number / 4
        assert enrollment.offer(utterance) is None
    embeddings = enrollment.embeddings()
    assert embeddings.shape == (4, encoder.embedding_size)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("place", range(5))
def test_a_stranger_among_five_is_found_wherever_he_stands(enrollment, heard, place):
    spoken = [(f"own {i}", utterance) for i, utterance in enumerate(heard["alice"][:4])]
    spoken.insert(place, ("stranger", heard["bob"][0]))
    for label, utterance in spoken:
        assert enrollment.offer(utterance, label) is None
    assert enrollment.settle() == ["stranger"]
    assert enrollment.kept == [f"own {i}" for i in range(4)]
    assert enrollment.settle() == []
    assert len(enrollment.embeddings()) == 4


def test_after_a_stranger_was_left_out_one_more_is_enough(enrollment, heard):
    for utterance in (heard["bob"][0], *heard["alice"][:3]):
        enrollment.offer(utterance)
    assert enrollment.progress == 1
    enrollment.settle()
    assert enrollment.progress == 3 / 4
    enrollment.offer(heard["alice"][3])
    assert enrollment.progress == 1 and enrollment.settle() == []


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (3, 2), (2, 3)])
def test_halves_of_two_voices_are_nobodys(enrollment, heard, counts):
    for name, count in zip(("alice", "bob"), counts, strict=True):
        for utterance in heard[name][:count]:
            enrollment.offer(utterance)
    with pytest.raises(EnrollmentError, match="2 voices") as caught:
        enrollment.settle()
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_all_of_ones_own_utterances_are_kept(enrollment, heard, name):
    for utterance in heard[name]:
        assert enrollment.offer(utterance) is None
    assert enrollment.settle() == []
    assert len(enrollment.embeddings()) == 5


def test_additions_are_compared_with_the_template_that_is_there(package, encoder, heard):
    first = Enrollment(encoder, Scorer(package), wanted=3)
    for utterance in heard["alice"][:3]:
        first.offer(utterance)
    addition = Enrollment(encoder, Scorer(package), 1, existing=first.embeddings())
    for number in range(3):  # more than the one who is enrolled
        addition.offer(heard["bob"][number], "stranger")
    addition.offer(heard["alice"][3], "own")
    assert addition.settle() == ["stranger"] * 3
    assert addition.kept == ["own"]
    assert addition.embeddings().shape == (1, encoder.embedding_size)
    assert addition.rejection_rate() < 0.5


def test_fewer_than_three_are_a_template_only_if_no_more_were_wanted(package, encoder, heard):
    for wanted in (1, 2, 3):
        enrollment = Enrollment(encoder, Scorer(package), wanted)
        for utterance in heard["alice"][: min(wanted, 2)]:
            enrollment.offer(utterance)
        if wanted < 3:
            assert len(enrollment.embeddings()) == wanted
        else:
            with pytest.raises(EnrollmentError, match="3 are needed"):
                enrollment.embeddings()


def test_the_promise_is_better_for_one_voice_than_for_two(package, encoder, heard):
    rates = []
    for spoken in (heard["alice"][:4], [*heard["alice"][:2], *heard["bob"][:2]]):
        enrollment = Enrollment(encoder, Scorer(package), 4)
        for utterance in spoken[:1]:
            enrollment.offer(utterance)
        assert enrollment.rejection_rate() is None
        for utterance in spoken[1:]:
            enrollment.offer(utterance)
        rates.append(enrollment.rejection_rate())
    assert 0 < rates[0] < 0.1 and rates[0] < rates[1] < 1
    strictest = max(package.manifest.operating_points, key=lambda point: point.threshold)
    assert enrollment.rejection_rate(strictest.name) > rates[1]


def test_an_utterance_with_lost_audio_is_not_kept(enrollment, heard):
    lost = [Heard(h.segment, audio_lost=True) for h in heard["alice"][0]]
    assert enrollment.offer(lost) is Fault.AUDIO_LOST
    assert enrollment.offer([]) is Fault.NO_VOICE
    assert enrollment.kept == [] and enrollment.settle() == []


def test_too_little_speech_makes_no_template(enrollment):
    with pytest.raises(EnrollmentError) as caught:
        enrollment.embeddings()
    assert caught.value.exit_code == 4
    assert "Nothing was stored" in caught.value.hint


def test_the_prompt_changes_with_what_was_accepted(enrollment, heard):
    before = enrollment.prompt
    enrollment.offer(heard["alice"][0])
    assert enrollment.prompt != before
