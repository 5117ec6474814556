"""Names as MLflow takes them: what it would refuse is escaped, so that each can be read back.

MLflow's keys of parameters, metrics and tags hold letters, digits, blanks and _ - . / : only, must
be relative paths without detours such as "a/../b", and have at most 250 characters. Any other
character becomes _xHHHH_, its code point in hexadecimal, as in names of XML (ISO/IEC 9075-14, 9.1),
and so does the _ of what looks like such an escape. Hence no two names become one, and names that
MLflow takes stay as they are. A name that is still too long is cut and ends with a part of its
sha256 sum.
"""

import hashlib
import re
from posixpath import normpath

MOST_KEY = 250
MOST_EXPERIMENT = 500
MOST_MODEL = 256
MOST_FOLDER_BYTES = 200
MOST_VALUE = 6000
MOST_TAG = 8000

_KEY = re.compile(r"[/\w.\- :]")
_FILE = re.compile(r"[\w.\- ]")
_ESCAPE_LIKE = re.compile(r"_(?=x[0-9A-F]{4})")
_ESCAPE = re.compile(r"_x([0-9A-F]{4,6})_")
_TORN = re.compile(r"_(x[0-9A-F]{0,6})?$")


def key(name: str) -> str:
    """Return the key of a parameter, metric or tag.

    >>> key("data.columns.region_*.kind"), key("test/rmse/price [$]"), key("test/nll")
    ('data.columns.region__x002A_.kind', 'test/rmse/price _x005B__x0024__x005D_', 'test/nll')
    """
    found = _escaped(name, _KEY)
    if found.startswith("/") or ("/" in found and normpath(found) != found):
        found = found.replace("/", _code("/"))
    return _cut(_no_dots(found), name, MOST_KEY)


def name_of(key: str) -> str:
    """Return the name that a key was made of, unless it was cut.

    >>> name_of("data.columns.region__x002A_.kind")
    'data.columns.region_*.kind'
    """
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), key)


def model_name(name: str) -> str:
    """Return the name of a registered model, which may hold what is printable but for / and :."""
    return _cut(_no_dots(_escaped(name, re.compile(r"[^/:]"))), name, MOST_MODEL)


def experiment_name(name: str) -> str:
    """Return the name of an experiment, which may hold whatever is printable."""
    return _cut(_escaped(name, re.compile(r".")), name, MOST_EXPERIMENT)


def folder_name(name: str) -> str:
    """Return the name of a folder, for an experiment."""
    found = _no_dots(_escaped(name, _FILE))
    most = MOST_FOLDER_BYTES - len(found.encode()) + len(found)
    return _cut(found, name, max(most, 50))


def value(whole: object, most: int = MOST_VALUE) -> str:
    """Return the value of a parameter or tag: cut, and without what data bases refuse."""
    text = str(whole)[:most]
    plain = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    return plain[:most]


def _escaped(name: str, allowed: re.Pattern[str]) -> str:
    marked = _ESCAPE_LIKE.sub(_code("_"), name)
    return "".join(
        c if c == " " or (c.isprintable() and allowed.match(c)) else _code(c) for c in marked
    )


def _no_dots(name: str) -> str:
    """Escape what names no file: nothing but blanks, or "." or ".." at the beginning."""
    if not name.strip():
        return "".join(map(_code, name))
    return _code(".") + name[1:] if name == "." or name.startswith("..") else name


def _code(character: str) -> str:
    return f"_x{ord(character):04X}_"


def _cut(escaped: str, name: str, most: int) -> str:
    if len(escaped) <= most:
        return escaped
    sum_ = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16].upper()
    return f"{_TORN.sub('', escaped[: most - 20])}_x{sum_}_"
