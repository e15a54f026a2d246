"""Text for fields of a fixed size."""

from server.texts import cut_text


def test_text_is_cut_between_characters():
    assert cut_text("食堂", 6) == "食堂"
    assert cut_text("食堂", 5) == "食"
    assert cut_text("食堂", 2) == ""
    assert cut_text("a食", 3) == "a"
