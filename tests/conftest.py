"""Property-based tests explore anew in every run of a developer, and are the same in every run of CI. Files that take long begin
first, so that no worker is left with one when the others have nothing more to do.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")

LONG = (
    *("lifecycle/test_check.py", "flows/test_second_act.py", "adapters/opa/test_shadow.py", "library/test_library.py"),
    *("faults/test_rollout.py", "lifecycle/test_making.py", "lifecycle/test_apart.py", "lifecycle/test_first_policy.py"),
    *("lifecycle/test_replay.py", "real_as/test_login.py", "lifecycle/catalog/test_accepting.py"),
    *("flows/test_no_secret_leaks.py", "lifecycle/catalog/test_comparing.py", "real_as/test_outages.py"),
    "lifecycle/test_joined.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
