"""A code that was drawn is read again; what holds none says so."""

import pytest
import segno

from tools.pictures import read_picture

pytest.importorskip("zxingcpp")


def test_a_code_in_a_picture(tmp_path):
    picture = tmp_path / "code.png"
    segno.make("9112345678901122334455", micro=False).save(str(picture), scale=4)
    assert read_picture(str(picture)) == "9112345678901122334455"


def test_what_holds_no_code(tmp_path):
    from PIL import Image

    Image.new("L", (50, 50), 255).save(tmp_path / "white.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"white.png: expected a picture with one code, got 0"):
        read_picture(str(tmp_path / "white.png"))
    with pytest.raises(ValueError, match=r"text.png: expected a picture, got another file"):
        read_picture(str(tmp_path / "text.png"))
    with pytest.raises(OSError, match="No such file"):
        read_picture(str(tmp_path / "missing.png"))
