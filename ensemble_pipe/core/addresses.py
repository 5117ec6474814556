"""Tracking addresses: SQLite files as URIs, and masking of passwords and tokens."""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

HIDDEN = "***"

# user:password@ before a host. The password ends at the last @ of the part before the path, or else
# at the first @ at all, since drivers of data bases take a slash in it. A port is no password.
_PASSWORD = re.compile(
    r"(://[^\s/:@?#'\"]*:)(?!\d+(?:[/?#\s]|$))(?:[^\s/?#]*(?=@)|[^\s@]*(?=@))", re.ASCII
)
_TOKEN_USER = re.compile(r"(https?://)[^\s/:@?#]+(?=@)", re.IGNORECASE)  # a token alone
_QUERY = re.compile(
    r"([?&][^\s=&#]*(?:token|passwo?r?d|pwd|secret|signature|credential"
    r"|(?:api|access|account|shared|auth)[-_]?key(?:[-_]?id)?)[^\s=&#]*=)[^\s&#'\"]+",
    re.IGNORECASE,
)
_SQLITE = re.compile(r"sqlite(\+\w+)?:///")


def mask_secrets(text: str) -> str:
    """Return text with the passwords and tokens of addresses replaced by `***`.

    >>> mask_secrets("cannot reach https://ann:pw@host:5000/x?token=abc (host:5000)")
    'cannot reach https://ann:***@host:5000/x?token=*** (host:5000)'
    """
    if "://" not in text:
        return text
    text = _PASSWORD.sub(rf"\g<1>{HIDDEN}", text)
    text = _TOKEN_USER.sub(rf"\g<1>{HIDDEN}", text)
    return _QUERY.sub(rf"\g<1>{HIDDEN}", text)


def strip_user(address: str) -> str:
    """Return an address, possibly malformed, without user name and password.

    >>> strip_user("http//ann:pw@host:5000")
    '***@host:5000'
    """
    _, found, host = address.rpartition("@")
    return mask_secrets(f"{HIDDEN}@{host}" if found else address)


def restore_secrets(address: str) -> str | None:
    """Return a masked address with its secrets from the environment; None if it lacks them.

    MLFLOW_TRACKING_URI is used where it equals the address up to the masked parts, else
    MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, where only these are masked. MLflow
    itself sends them, or MLFLOW_TRACKING_TOKEN, to a server whose address contains none.
    """
    if HIDDEN not in address:
        return address
    own = os.environ.get("MLFLOW_TRACKING_URI", "")
    if mask_secrets(own) == address:
        return own
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
    place = re.search(r"://([^:@/?#]*):\*\*\*(?=@)", address)
    if password and place:
        known = f"://{quote(user, safe='') if user else place[1]}:{quote(password, safe='')}"
        address = address[: place.start()] + known + address[place.end() :]
    elif is_server(address) and ((user and password) or os.environ.get("MLFLOW_TRACKING_TOKEN")):
        address = re.sub(r"://[^/?#@]*@", "://", address)
    return None if HIDDEN in address else address


def sqlite_address(path: Path) -> str:
    """Return the SQLAlchemy URI of an SQLite file.

    Where a character must be quoted, the URI names the driver too: MLflow would otherwise treat it
    as an unquoted path, and create a folder of that name.

    >>> sqlite_address(Path("/x/a b/mlflow.db")), sqlite_address(Path("/x/100%/mlflow.db"))
    ('sqlite:////x/a b/mlflow.db', 'sqlite+pysqlite:////x/100%25/mlflow.db')
    """
    text = str(path)
    quoted = text.replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{text}" if quoted == text else f"sqlite+pysqlite:///{quoted}"


def sqlite_path(address: str) -> Path | None:
    """Return the file of an SQLite URI; None for other addresses and for a database in memory."""
    if not _SQLITE.match(address):
        return None
    path = unquote(_SQLITE.sub("", address, count=1).partition("?")[0])
    return None if path in ("", ":memory:") else Path(path)


def is_server(address: str) -> bool:
    """Return whether an address is that of a tracking server."""
    return urlsplit(address).scheme in ("http", "https")
