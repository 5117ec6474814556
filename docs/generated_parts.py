"""Parts of a page that a script writes, between two markers that name the script."""

from pathlib import Path


def replace_part(path: Path, page: str, name: str, text: str, command: str) -> str:
    """Return a page with other text between two of its markers.

    Args:
        path: of the page, for the message.
        page: its text.
        name: of the part.
        text: that the part is to hold.
        command: that makes it.

    Raises:
        SystemExit: the page lacks one of the markers.
    """
    begin, end = f"<!-- {name}: made by {command} -->", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise SystemExit(f"{path}: has no lines {begin!r} and {end!r}")
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"
