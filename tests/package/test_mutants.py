"""`scripts.mutants` knows, for every pure module, which tests are nearest to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import mutants
from scripts.mutants import ACTING, NEAREST, PACKAGE, REPOSITORY, pure_modules


def test_every_pure_module_has_tests_that_are_nearest_to_it() -> None:
    modules = pure_modules()

    assert {"costs.py", "_core/machine.py", "tools/loop.py"} <= set(modules)
    for module in modules:
        assert all((REPOSITORY / path).is_file() for path in mutants.tests_of(module)), module


def test_files_and_tests_named_for_mutants_exist() -> None:
    assert [name for name in (*NEAREST, *ACTING) if not (REPOSITORY / PACKAGE / name).exists()] == []


def test_a_pure_module_without_nearest_tests_stops_the_run_with_its_name(tmp_path: Path) -> None:
    for name in ("_wire/sse.py", "_wire/brand_new.py", "resources/acts.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    with pytest.raises(SystemExit, match=r"nearest to _wire/brand_new\.py"):
        pure_modules(root=tmp_path)


def test_a_part_of_a_path_chooses_modules() -> None:
    assert pure_modules("_wire/sse") == ["_wire/sse.py"]
    assert {name.partition("/")[0] for name in pure_modules("tools/")} == {"tools"}


SEEN = """
@cached_property
def first(): return compared == 2
try:
    import a_package_that_nobody_has
except ImportError:
    pass
try:
    import json
except ValueError:
    pass
try:
    build()
except ImportError:
    pass
class Plain:
    limit = True
found = pairs(strict=True)
"""
UNSEEN = """
@dataclass_transform(kw_only_default=True)
class Base: pass
@lru_cache(maxsize=None)
def first(): pass
@functools.cache
def second(): pass
class Port(Protocol[T]):
    blocks = True
    def opened(self, *, again: bool = False) -> None: ...
found = zip(one, two, strict=True)
try:
    import json
    from email import message
    ssl = import_module("ssl")
except ImportError:
    pass
"""


@pytest.mark.parametrize(
    ("source", "changed"),
    [pytest.param(SEEN, {2, 3, 6, 10, 14, 17, 18}, id="seen"), pytest.param(UNSEEN, set[int](), id="unseen")],
)
def test_a_slip_that_nobody_could_see_is_not_made(source: str, changed: set[int], tmp_path: Path) -> None:
    pytest.importorskip("cosmic_ray", reason="comes with `make mutants`")
    (tmp_path / "module.py").write_text(source, "utf-8")

    assert {place.start[0] for place in mutants.places("module.py", tmp_path)} == changed
