"""Codes in pictures: what a scanner would read from a photograph or a screenshot. Wants the extra `scanner`."""

from __future__ import annotations


def read_picture(name: str) -> str:
    """The text of the one code in this picture file. ValueError says what was expected and what is there."""
    try:
        import zxingcpp
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ValueError("pictures: expected zxing-cpp and pillow, got none: pip install 'fanka[scanner]'") from None
    try:
        with Image.open(name) as picture:
            found = [code.text for code in zxingcpp.read_barcodes(picture) if code.valid]
    except UnidentifiedImageError:
        raise ValueError(f"{name}: expected a picture, got another file") from None
    if len(found) != 1:
        raise ValueError(f"{name}: expected a picture with one code, got {len(found)}")
    return found[0]
