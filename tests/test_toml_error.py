"""The line that an error names is the one to correct."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_unlock.config import CONFIG_NAME, MAX_CONFIG_BYTES, Settings
from edge_unlock.errors import ConfigError
from edge_unlock.toml_error import MAX_STATEMENT_LINES, line_of

VALID = """\
# a comment

far = 0.003  # and another
device = '''
usb'''
mqtt . host = "broker"

[[ actions ]]
type = "command"
arguments = [
    "/bin/true",  # ]
    "[x",
]
timeout_s = 5

[[actions]]
"type" = "relay"
pin = 17
[wyoming]
uri = "tcp://127.0.0.1:1"
"""
"""Strings and lists of several lines, quoted and dotted keys: right as it stands."""


def load(directory, content):
    path = directory / CONFIG_NAME
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Settings.load(path)


def test_the_example_is_right(tmp_path):
    assert len(load(tmp_path, VALID).actions) == 2


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("far = 0.003", "far = 3", 3),
        ("far =", "fra =", 3),
        ("usb'''", "usb\\u0000'''\nmodel = ''", 6),
        ('"broker"', "1", 6),
        ('mqtt . host = "broker"', "mqtt.port = 1", 6),
        ("type =", "typ =", 8),
        ('"command"', '"laser"', 9),
        ('"[x"', "7", 10),
        ("timeout_s = 5", "timeout_s = inf", 14),
        ("timeout_s = 5", "timeout = 5", 14),
        ("pin = 17", "pin = -1", 18),
        ("pin = 17", "pin = 17 18", 18),
        ("pin = 17", "", 16),
        ("pin = 17", "pin = " + "9" * 5000, 18),
        ("pin = 17", "pin = " + "[" * 5000, 18),
        ('[wyoming]\nuri = "tcp://127.0.0.1:1"', "[wyoming", 19),
        ("[wyoming]", "[wyoming.deeper]", 19),
        ('"tcp://127.0.0.1:1"\n', "[\n1,\n\n", 20),
        ('"tcp://127.0.0.1:1"\n', '"x"\nuri = "y"', 21),
    ],
)
def test_an_error_names_the_line_to_correct(tmp_path, old, new, line):
    assert old in VALID
    with pytest.raises(ConfigError, match=rf"{CONFIG_NAME}, line {line}: "):
        load(tmp_path, VALID.replace(old, new, 1))


def test_bytes_that_are_no_text_are_found(tmp_path):
    with pytest.raises(ConfigError, match="line 3: "):
        load(tmp_path, VALID.replace("0.003", "0.003 # \xe9").encode("latin-1"))


def test_past_a_statement_without_end_no_line_is_guessed(tmp_path):
    long = "device = [\n" + "1,\n" * MAX_STATEMENT_LINES + "]\n"
    with pytest.raises(ConfigError, match=rf"{CONFIG_NAME}: .*device"):
        load(tmp_path, long)


def test_a_longest_file_is_searched(tmp_path):
    lines = (MAX_CONFIG_BYTES - 10) // 2
    with pytest.raises(ConfigError, match=rf"line {lines + 1}: "):
        load(tmp_path, "#\n" * lines + "x = 1")


NAMES = st.sampled_from([*Settings.__struct_fields__, "type", "pin", "host", "topic", "x", '"."'])
VALUES = st.sampled_from(
    (
        *(
            "1",
            "-0.0",
            "inf",
            "nan",
            "true",
            '"command"',
            "'relay'",
            "1979-05-27",
            "[]",
            "[1, 'a']",
        ),
        *("{}", "{ type = 'relay' }", "[[{a.b=1}]]", '"""\n"""', "[\n'x',\n]", "0x" + "f" * 300),
        "",
    )
)
STATEMENTS = st.one_of(
    st.builds("{}={}".format, NAMES, VALUES),
    st.builds("{}.{} = {}".format, NAMES, NAMES, VALUES),
    st.builds("[{}]".format, NAMES),
    st.builds("[[{}]]".format, NAMES),
    st.builds("[[{}.{}]]".format, NAMES, NAMES),
    st.text(max_size=20),
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@settings(max_examples=300)
@given(st.lists(STATEMENTS, max_size=12).map("\n".join))
def test_hostile_toml_is_read_or_refused_with_a_line_that_exists(directory, text):
    data = text.encode(errors="surrogatepass")
    try:
        load(directory, data)
    except ConfigError as error:
        assert error.hint and str(error).startswith(str(directory))
    lines = data.count(b"\n") + 1
    for said in ("x - at `$.actions[9].pin`", "x (at end of document)", text):
        line = line_of(data, msgspec.ValidationError(said))
        assert line is None or "(at line " in said or 1 <= line <= lines


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_hostile_bytes_are_read_or_refused(directory, data):
    try:
        load(directory, data)
    except ConfigError as error:
        assert error.hint
