"""Print the lowest version of every optional dependency that pyproject.toml allows, as pip constraints."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version


def floors(pyproject: str) -> dict[str, Version]:
    """Return name to floor, as they apply to this Python. A dependency without a floor is an error."""
    project = tomllib.loads(pyproject)["project"]
    found: dict[str, Version] = {}
    for line in (line for extra in project["optional-dependencies"].values() for line in extra):
        requirement = Requirement(line)
        if requirement.name == project["name"] or (requirement.marker and not requirement.marker.evaluate()):
            continue
        (floor,) = (Version(bound.version) for bound in requirement.specifier if bound.operator == ">=")
        found[requirement.name] = max(floor, found.get(requirement.name, floor))
    return found


if __name__ == "__main__":
    text = Path(__file__).parent.parent.joinpath("pyproject.toml").read_text(encoding="utf-8")
    for name, version in sorted(floors(text).items()):
        print(f"{name}=={version}")
