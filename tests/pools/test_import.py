"""Importing the block is cheap and loads no third-party package."""

from __future__ import annotations

import subprocess
import sys


def test_importing_and_planning_loads_no_driver_and_no_event_loop():
    code = (
        "import sys; from scalekit.pools import Role, Server, plan_pools, PoolConfig;"
        "plan_pools(Server(max_connections=9), {'web': Role()})['web'].sqlalchemy();"
        "print(sorted({'asyncio', 'redis', 'sqlalchemy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import scalekit.pools as block

    assert {name for name in block.__all__ if getattr(block, name) is not None} == set(block.__all__)
    assert set(block.__all__) <= set(dir(block))
