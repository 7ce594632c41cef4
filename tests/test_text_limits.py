"""What is kept of a user's text: whole in one file, cut elsewhere, and safe everywhere."""

from __future__ import annotations

import unicodedata
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from raysweep.formatting import clean
from raysweep.text_limits import (
    ERROR_FILE_CHARACTERS,
    MESSAGE_CHARACTERS,
    TRACEBACK_CHARACTERS,
    exception_line,
    format_exception,
    message,
    shorten,
    shorten_traceback,
    visible,
)

ANY_TEXT = st.text(st.characters(exclude_categories=()))


E = TypeVar("E", bound=BaseException)


class Hostile(Exception):
    """Its message cannot be had."""

    def __str__(self) -> str:
        raise SystemError("no message")

    __repr__ = __str__


def raised(error: E, cause: BaseException | None = None) -> E:
    """The exception with a traceback of its own."""
    try:
        raise error from cause
    except BaseException:
        return error


def chain(length: int, words: str = "") -> BaseException:
    """A chain of exceptions, each raised from the one before."""
    error: BaseException = raised(ValueError("the root cause"))
    for number in range(length):
        error = raised(RuntimeError(f"link {number} {words}"), error)
    return raised(KeyError("the last one"), error)


@given(ANY_TEXT)
def test_visible_text_can_be_encoded_and_stays_as_it_is(text: str) -> None:
    safe = visible(text)
    assert visible(safe) == safe == safe.encode("utf-8").decode("utf-8")
    assert {letter for letter in safe if unicodedata.category(letter) == "Cc"} <= {"\n", "\t"}


def test_terminal_escapes_and_surrogates_become_words() -> None:
    assert visible("a\x1b[31mred\x07\r\nb\rc\x9b\udcff\tü\u2028") == (
        "a\\x1b[31mred\\x07\nb\\x0dc\\x9b\\udcff\tü\u2028"
    )


@given(st.text(), st.integers(60, 200))
def test_cut_text_is_no_longer_than_it_may_be(text: str, most: int) -> None:
    assert len(shorten(text * 30, most)) <= most
    assert len(shorten_traceback(text * 30, most * 3)) <= most * 3


def test_a_long_message_keeps_its_start_and_its_end_and_says_how_much_is_gone() -> None:
    text = message("begin" + "x" * 10_000_000 + "end")
    assert len(text) <= MESSAGE_CHARACTERS
    assert text.startswith("begin")
    assert text.endswith("end")
    assert "9,998,008 characters are left out" in text


def test_a_long_chain_keeps_its_root_cause_and_its_last_exception() -> None:
    whole = format_exception(chain(400))
    assert "link 399" in whole
    short = shorten_traceback(whole)
    assert len(short) <= TRACEBACK_CHARACTERS
    assert "ValueError: the root cause" in short
    assert short.endswith("KeyError: 'the last one'")
    assert "400 exceptions that followed from it are left out" in short
    assert "link" not in short


def test_a_chain_of_megabytes_keeps_both_ends_of_the_chain() -> None:
    short = shorten_traceback(format_exception(chain(3, "x" * 3_000_000)))
    assert "ValueError: the root cause" in short
    assert short.endswith("KeyError: 'the last one'")
    assert len(format_exception(chain(3, "x" * 3_000_000))) <= ERROR_FILE_CHARACTERS


def test_an_exception_of_any_kind_has_a_text() -> None:
    error = raised(Hostile())
    assert exception_line(error) == "Hostile (its message cannot be shown)"
    assert "Hostile" in format_exception(error)
    assert exception_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert exception_line(ValueError("a\udcff\nb")) == "ValueError: a\\udcff"
    group = raised(ExceptionGroup("some", [ValueError("\x1b[1m"), raised(OSError(2, "gone"))]))
    assert "\\x1b[1m" in format_exception(group)


def test_the_frames_can_begin_where_the_users_own_do() -> None:
    error = chain(0)
    assert error.__traceback__ is not None
    assert format_exception(error, error.__traceback__.tb_next).count("in raised") == 2


@given(ANY_TEXT)
def test_what_is_printed_holds_no_control_characters(text: str) -> None:
    assert all(letter.isprintable() or letter == "\n" for letter in clean(visible(text)))
