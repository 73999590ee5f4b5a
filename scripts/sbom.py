"""The wheel's bill of materials: CycloneDX 1.6, from `pyproject.toml`, put into `*.dist-info/sboms` when the wheel is built.

It lists what the package needs, with the range of versions as a property: which version is installed is up to who installs.
Times and random numbers are left out, so that two builds give the same bytes.
"""

# The library builds its classes with a decorator that pyright does not follow; mypy does.
# pyright: basic, reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packageurl import PackageURL
from packaging.requirements import Requirement

NAME = "venice-chat.cdx.json"


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls before it builds a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the bill of materials to the wheel."""
        metadata = self.metadata.core
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, NAME)
        path.write_text(
            bill_of_materials(self.metadata.name, self.metadata.version, metadata.dependencies, metadata.optional_dependencies),
            "utf-8",
        )
        build_data["sbom_files"].append(str(path))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes what was written for the build."""
        self._folder.cleanup()


def bill_of_materials(name: str, version: str, required: list[str], extras: dict[str, list[str]]) -> str:
    """The bill of materials as JSON: the package, and each of its dependencies with the extra that needs it."""
    package = _component(name, version)
    package.licenses.add(DisjunctiveLicense(id="Apache-2.0"))
    bom = Bom()
    bom.metadata.component = package
    requirements = [(text, "") for text in required] + [(text, extra) for extra, texts in extras.items() for text in texts]
    parts: dict[str, Component] = {}
    for requirement, extra in ((Requirement(text), extra) for text, extra in requirements):
        if requirement.name == name:
            continue
        part = parts.setdefault(requirement.name, _component(requirement.name))
        condition = f"{requirement.specifier}; {requirement.marker}" if requirement.marker else str(requirement.specifier)
        part.properties.add(Property(name=f"venice-chat:{f'extra:{extra}' if extra else 'required'}", value=condition))
    for part in parts.values():
        bom.components.add(part)
    bom.register_dependency(package, parts.values())
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    written["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, f"pkg:pypi/{name}@{version}").urn
    written["metadata"].pop("timestamp", None)
    return json.dumps(written, indent=2, sort_keys=True) + "\n"


def _component(name: str, version: str | None = None) -> Component:
    url = PackageURL("pypi", name=name, version=version)
    return Component(name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url))
