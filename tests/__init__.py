"""The suite. A package, so that helpers import as `tests.servers` and two test files may share a name."""
