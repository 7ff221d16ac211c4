"""Real servers for the tests, started by the tests.

Their binaries come from development dependencies or from the system; nothing has to run before, no root
is needed (and none is used: as root, PostgreSQL and PgBouncer drop to `nobody`), and nothing survives the
run: a watchdog ends the servers and removes their directories even when the run itself is killed.

`lifeline` holds what every server shares; `redis`, `cluster`, `sentinel`, `postgres` and `pgbouncer` one
kind each. The fixtures are in `tests/conftest.py`.
"""
