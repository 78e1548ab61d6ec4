"""A wheel carries what a policy repository is made of, its policies, schemas, library and tools: see gateway/shipped.py."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CARRIED = (
    *("policies", "policy_tests", "schemas", "library", ".regal"),
    *("tools/opa", "tools/regal", "tools/go.txt", "deploy/gateway/requirements.txt"),
)


class BuildWithShipped(build_py):
    def run(self):
        super().run()
        if self.editable_mode:  # the originals are used
            return
        for name in CARRIED:
            source, target = Path(name), Path(self.build_lib, "gateway/_shipped", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)


setup(cmdclass={"build_py": BuildWithShipped})
