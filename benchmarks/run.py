"""Run the benchmarks, each in a process of its own: all of them, or the blocks named.

python benchmarks/run.py [redis] [cache] [ratelimit] [pagination] [images]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    scripts: dict[str, list[Path]] = {}
    for path in sorted(Path(__file__).parent.glob("*/*.py")):
        if not path.name.startswith("_"):  # a part of others
            scripts.setdefault(path.parent.name, []).append(path)
    parser = argparse.ArgumentParser(description="Measure scalekit against its peers.")
    parser.add_argument("blocks", nargs="*", choices=[[], *scripts], metavar="BLOCK", help=", ".join(scripts))
    failed = []
    for block in parser.parse_args().blocks or scripts:
        for script in scripts[block]:
            module = ".".join(script.relative_to(ROOT).with_suffix("").parts)
            print(f"\n== {block}: python -m {module}", flush=True)
            if subprocess.run([sys.executable, "-m", module], cwd=ROOT, check=False).returncode:
                failed.append(module)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
