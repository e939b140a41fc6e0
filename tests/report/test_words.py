import pytest

from convwise.report import words

NAN = float("nan")


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.0"), (0.9541, "95.4"), (0.9997, "100.0"), (1, "100.0"), (NAN, "\u2013")]
)
def test_shares_print_as_per_cent(share: float, text: str) -> None:
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.9541, "95.4"), (0.9997, "99.97"), (0.99999, "99.999"), (1, "100.0"), (NAN, "\u2013")]
)
def test_the_headline_never_says_all_when_it_is_not_all(share: float, text: str) -> None:
    assert words.careful_percent(share) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "", "0"),
        (999, "MACs", "999 MACs"),
        (385_200_000, "MACs", "385.2 M MACs"),
        (999_960, "", "1.0 M"),
        (4_089_000_000, "", "4.1 G"),
        (13_620_000, "B", "13.6 MB"),
    ],
)
def test_quantities_carry_human_units(value: int, unit: str, text: str) -> None:
    assert plain(words.quantity(value, unit)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(6.712, "6.71 ms"), (9.996, "10.0 ms"), (24.51, "24.5 ms"), (99.96, "100 ms"), (812.2, "812 ms"), (NAN, "\u2013")],
)
def test_milliseconds_have_three_figures(value: float, text: str) -> None:
    assert plain(words.milliseconds(value)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.21, "4.2 s"),
        (75, "75 s"),
        (725, "12 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3900, "1 h 05 min"),
        (NAN, "\u2013"),
    ],
)
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert plain(words.duration(seconds)) == text


def test_nouns_follow_their_number() -> None:
    assert plain(words.plural(1, "image")) == "1 image"
    assert plain(words.plural(12_402, "image")) == "12,402 images"
    assert plain(words.plural(2, "class", "classes")) == "2 classes"


def test_decimals_are_three_or_a_dash() -> None:
    assert words.decimal(0.12345) == "0.123"
    assert words.decimal(NAN) == "\u2013"


def test_backticks_become_code_and_a_lone_one_stays() -> None:
    assert words.prose("12 of `a<b`") == "12 of <code><bdi>a&lt;b</bdi></code>"
    assert words.prose("it`s <b>") == "it`s &lt;b&gt;"
