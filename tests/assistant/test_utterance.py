from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_unlock.assistant.utterance import Format, Utterance, _floats
from edge_unlock.audio import File
from edge_unlock.errors import AssistantError, AudioError
from edge_unlock.lock.hearing import hear
from edge_unlock.segmentation.segment import Segmenter


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples_of_any_width_are_the_same_sound(width):
    whole = np.array([-128, -64, 0, 1, 64, 127])
    if width == 1:
        audio = (whole + 128).astype(np.uint8).tobytes()
    else:
        shifted = (whole << 8 * (width - 1)).astype("<i8")
        audio = shifted.view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    assert _floats(audio, width).tolist() == (whole / 128).tolist()


@given(st.lists(st.integers(0, 5000), max_size=20), st.sampled_from([(2, 1), (3, 2), (1, 5)]))
def test_it_does_not_matter_how_the_bytes_are_divided(cuts, shape):
    width, channels = shape
    audio = np.random.default_rng(0).bytes(5000)
    whole, pieces = (Utterance(Format(16_000, width, channels)) for _ in range(2))
    whole.push(audio)
    bounds = [0, *sorted(cuts), len(audio)]
    for start, end in pairwise(bounds):
        pieces.push(audio[start:end])
    assert whole._frames == pieces._frames == 5000 // (width * channels)
    assert whole._rest == pieces._rest


def test_what_is_heard_is_what_is_heard_in_the_file(people):
    path = people["alice"][4]
    with File(path) as source:
        samples = np.concatenate(list(source.blocks()))
    with File(path) as source:
        (expected,) = hear(source, Segmenter())
    utterance = Utterance(Format(16_000, 2, 1))
    utterance.push(np.round(samples * 32768).astype("<i2").tobytes())
    (heard,) = utterance.finish()
    assert (heard.segment.samples == expected.segment.samples).all()


def test_the_length_is_limited_to_the_frame():
    utterance = Utterance(Format(8_000, 2, 1))
    utterance.push(bytes(2 * 8_000 * 60))
    with pytest.raises(AudioError, match="60 s"):
        utterance.push(bytes(2))


@pytest.mark.parametrize("form", [(7_999, 2, 1), (192_001, 2, 1), (16_000, 2, 33)])
def test_what_cannot_be_converted_is_refused(form):
    with pytest.raises(AudioError):
        Utterance(Format(*form))


@given(
    st.dictionaries(
        st.sampled_from(["rate", "width", "channels"]),
        st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none()),
    )
)
def test_a_format_is_whole_or_refused(data):
    try:
        form = Format.of(data)
    except AssistantError:
        return
    assert 1 <= form.rate <= 1_000_000
    assert 1 <= form.width <= 4
    assert 1 <= form.channels <= 1_000_000
