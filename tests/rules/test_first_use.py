"""What a first call imports: on a thread of its own, once, and with the error of the import."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial

import pytest

from venice_ai._core.first_use import load, made_once, whole
from venice_ai._core.outcome import Task


def test_a_module_is_loaded_though_others_were_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)

    load("json", "colorsys")

    assert "colorsys" in sys.modules


def test_a_module_that_is_missing_is_an_error_each_time() -> None:
    for _ in range(2):
        with pytest.raises(ImportError, match="no_such_module"):
            load("no_such_module")


def test_the_work_is_done_on_a_thread_of_its_own() -> None:
    assert whole(threading.get_ident) != threading.get_ident()


class Interruption(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError, Interruption, KeyboardInterrupt])
def test_whatever_ends_the_work_is_raised_where_it_is_waited_for(error: type[BaseException]) -> None:
    def work() -> None:
        raise error

    with pytest.raises(error):
        whole(work)


def test_the_exception_of_a_task_is_raised_once_and_then_no_longer_held() -> None:
    task = Task[int]([].pop)
    assert not task.done.is_set()

    task.run()

    assert task.done.is_set()
    with pytest.raises(IndexError):
        task.outcome()
    assert task.error is None
    assert Task(partial(int, "7")).outcome() is None, "it has not run"


def test_a_value_that_is_made_once_stays_and_what_was_put_in_its_place_wins() -> None:
    class Counting:
        made = 0

        @made_once
        def number(self) -> int:
            self.made += 1
            return 70 + self.made

    one, other = Counting(), Counting()
    vars(other)["number"] = 9

    assert [one.number, one.number, one.made] == [71, 71, 1]
    assert (other.number, other.made) == (9, 0)
    assert isinstance(Counting.number, made_once)


def test_of_two_threads_that_make_a_value_at_once_both_get_the_first_one() -> None:
    inner: list[object] = []

    class Slow:
        @made_once
        def value(self) -> object:
            if not inner:
                inner.append(None)
                inner[0] = self.value  # as another thread would, before this one is done
            return object()

    slow = Slow()

    assert slow.value is inner[0] is slow.value


FORKED = """
import importlib.util, os, sys, threading
import venice_ai._core.first_use

class Slow:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.util.spec_from_loader(name, Slow) if name in {"colorsys", "tabnanny", "of_others"} else None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        begun.set()
        go.wait(5 if module.__name__ == "of_others" else 0.3)
        ended.set()

def fork():
    begun.wait()
    child = os.fork()
    if child:
        print("after" if ended.is_set() else "before")
        go.set()
        os.waitpid(child, 0)
    else:
        os._exit(0)

sys.meta_path.insert(0, Slow)
for name, here in ("colorsys", fork), ("of_others", fork), ("tabnanny", lambda: __import__("tabnanny")):
    begun, ended, go = threading.Event(), threading.Event(), threading.Event()
    there = threading.Thread(target=lambda: __import__(name)) if here is fork else threading.Thread(target=fork)
    there.start()
    here()
    there.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_fork_waits_for_an_import_of_any_other_thread_that_the_child_may_need() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, encoding="utf-8", timeout=60, check=False)

    assert (done.stdout.split(), done.returncode) == (["after", "before", "after"], 0), done.stderr[-2000:]


PLAIN = """
import os, time
import venice_ai._core.first_use

def fork():
    began = time.monotonic()
    child = os.fork()
    if not child:
        os._exit(0)
    took = time.monotonic() - began
    os.waitpid(child, 0)
    return took

print(min(fork() for _ in range(3)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_fork_while_nothing_is_imported_waits_for_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, encoding="utf-8", timeout=60, check=False)

    assert float(done.stdout) < 0.9, done.stderr[-2000:]
    assert done.stderr == ""
