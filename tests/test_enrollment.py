import numpy as np
import pytest

from edge_unlock.enrollment import Enrollment
from edge_unlock.errors import EnrollmentError
from edge_unlock.hearing import Heard
from edge_unlock.quality import Fault
from edge_unlock.scoring import Scorer


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


def test_another_speaker_is_noticed_and_nothing_is_lost(enrollment, heard):
    enrollment.offer(heard["alice"][0])
    enrollment.offer(heard["alice"][1])
    assert enrollment.offer(heard["bob"][0]) is Fault.OTHER_SPEAKER
    assert enrollment.accepted == 2
    assert enrollment.offer(heard["alice"][2]) is None


def test_additions_are_compared_with_the_template_that_is_there(package, encoder, heard):
    first = Enrollment(encoder, Scorer(package), wanted=3)
    for utterance in heard["alice"][:3]:
        first.offer(utterance)
    addition = Enrollment(encoder, Scorer(package), 1, existing=first.embeddings())
    assert addition.offer(heard["bob"][0]) is Fault.OTHER_SPEAKER
    assert addition.offer(heard["alice"][3]) is None


def test_an_utterance_with_lost_audio_is_not_kept(enrollment, heard):
    lost = [Heard(h.segment, audio_lost=True) for h in heard["alice"][0]]
    assert enrollment.offer(lost) is Fault.AUDIO_LOST
    assert enrollment.offer([]) is Fault.NO_VOICE
    assert enrollment.accepted == 0


def test_too_little_speech_makes_no_template(enrollment):
    with pytest.raises(EnrollmentError) as caught:
        enrollment.embeddings()
    assert caught.value.exit_code == 4
    assert "Nothing was stored" in caught.value.hint


def test_the_prompt_changes_with_what_was_accepted(enrollment, heard):
    before = enrollment.prompt
    enrollment.offer(heard["alice"][0])
    assert enrollment.prompt != before
