"""Compare the pinned packages with advisories, and their licences with those allowed; offline.

    python .ci/audit.py
    python .ci/audit.py --update ADVISORIES

looks at the packages of constraints.txt as they are installed. The advisories are those of the PyPA
advisory database (github.com/pypa/advisory-database), kept in .ci/advisories.json; `--update`
writes that file anew from a checkout of it, and docs/licences.md from the installed packages. What
could not be audited is printed: packages that the kept file does not know, and whatever became
known since it was written, where that is more than MOST_DAYS ago. A package of an affected version,
or with a licence that is not allowed, ends the audit with status 1.
"""

import argparse
import json
import re
import sys
from datetime import date
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
KEPT, PAGE = ROOT / ".ci" / "advisories.json", ROOT / "docs" / "licences.md"
MOST_DAYS = 90
# Words of the licences that dependencies of this package, under Apache-2.0, may have.
ALLOWED = (
    "apache", "mit", "bsd", "isc", "psf", "python software foundation", "mpl", "mozilla", "zlib",
    "unlicense", "hpnd", "cmu", "cc0", "0bsd",
)  # fmt: skip
# Where the metadata do not say it, by the file LICENSE of the package.
KNOWN = {"huey": "MIT", "skops": "MIT"}
# Of other licences, with the reason: LGPL, and used by the tests alone, on a server of PostgreSQL.
EXEMPT = {"psycopg2-binary"}
_HEAD = """# Licences of the dependencies

The packages of `constraints.txt`, with the licence that each states; `.ci/run` fails at one that
is not permissive, or reciprocal for its own files alone. The table is written by
`python .ci/audit.py --update CHECKOUT`.

| package | licence |
|---|---|
"""


def pinned(text: str) -> set[str]:
    """Return the names of the packages in the text of constraints.txt."""
    return {str(canonicalize_name(name)) for name in re.findall(r"^([\w.-]+)==", text, re.M)}


def affected(version: str, ranges: list[list[str | None]]) -> bool:
    """Return whether a version lies in a range [introduced, fixed); no end is None."""
    own = Version(version)
    return any(
        own >= Version(begin or "0") and (end is None or own < Version(end))
        for begin, end in ranges
    )


def findings(kept: dict[str, Any], installed: dict[str, str]) -> list[str]:
    """Return the advisories that installed versions are affected by."""
    return [
        f"{one['package']} {installed[one['package']]}: {one['id']}"
        for one in kept["advisories"]
        if one["package"] in installed and affected(installed[one["package"]], one["ranges"])
    ]


def unaudited(kept: dict[str, Any], installed: dict[str, str], today: date) -> list[str]:
    """Return what the kept advisories cannot say."""
    days = (today - date.fromisoformat(kept["as_of"])).days
    told = []
    if days > MOST_DAYS:
        told.append(
            f"NOT AUDITED: what became known since {kept['as_of']}, {days} days ago; --update"
        )
    unknown = sorted(set(installed) - set(kept["packages"]))
    if unknown:
        told.append(f"NOT AUDITED: {len(unknown)} packages that the kept file does not know")
    return told


def licence_of(package: Distribution) -> str:
    """Return the licence that a package's metadata state, in a line; "" for none."""
    data = package.metadata
    classifiers = data.get_all("Classifier") or []
    stated = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ")]
    texts = [
        data["License-Expression"],
        ", ".join(one for one in stated if one != "OSI Approved"),
        (data["License"] or "").strip().partition("\n")[0][:60],
        KNOWN.get(canonicalize_name(data["Name"])),
    ]
    return next((text for text in texts if text), "")


def is_allowed(licence: str) -> bool:
    """Return whether a licence is among those allowed: all of several, or one to choose from."""
    return all(
        any(re.search(rf"\b{word}", part) for word in ALLOWED)
        for part in licence.lower().split(" and ")
    )


def update(database: Path, installed: dict[str, str]) -> dict[str, Any]:
    """Return the advisories of the installed packages, of a checkout of the database."""
    found = []
    for package in sorted(installed):
        for path in sorted((database / "vulns" / package).glob("*.yaml")):
            record = yaml.safe_load(path.read_text())
            if "withdrawn" not in record:
                ranges = ranges_of(record)
                found.append({"package": package, "id": record["id"], "ranges": ranges})
    return {"as_of": str(date.today()), "packages": sorted(installed), "advisories": found}


def ranges_of(record: dict[str, Any]) -> list[list[str | None]]:
    """Return [introduced, fixed) of the ranges of versions in an advisory."""
    found: list[list[str | None]] = []
    spans = [span for item in record["affected"] for span in item.get("ranges", [])]
    for event in (
        event for span in spans if span["type"] == "ECOSYSTEM" for event in span["events"]
    ):
        if "introduced" in event:
            found.append([event["introduced"], None])
        elif "fixed" in event:
            found[-1][1] = event["fixed"]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", type=Path, help="a checkout of the advisory database")
    options = parser.parse_args()
    wanted = pinned((ROOT / "constraints.txt").read_text())
    every = {str(canonicalize_name(one.metadata["Name"])): one for one in distributions()}
    packages = {name: one for name, one in sorted(every.items()) if name in wanted}
    installed = {name: one.version for name, one in packages.items()}
    licences = {name: licence_of(one) for name, one in packages.items()}
    if options.update:
        KEPT.write_text(json.dumps(update(options.update, installed), indent=1) + "\n")
        PAGE.write_text(_HEAD + "".join(f"| {n} | {text} |\n" for n, text in licences.items()))
    kept = json.loads(KEPT.read_text())
    wrong = findings(kept, installed) + [
        f"{name}: its licence {text!r} is not among those allowed"
        for name, text in licences.items()
        if not is_allowed(text) and name not in EXEMPT
    ]
    told = [f"{len(installed)} packages, {len(kept['advisories'])} advisories"]
    print("\n".join([*told, *unaudited(kept, installed, date.today()), *wrong]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
