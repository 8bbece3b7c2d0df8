"""The command: many damaged folders, or one of them again."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from a2c.run.versions import versions
from faults.folders.fuzzer import campaign, fuzzer
from faults.folders.verdict import Finding
from faults.results import RESULTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults.folders", description="Damaged and hostile run folders.")
    parser.add_argument("--count", type=int, default=20_000, help="how many mutations")
    parser.add_argument("--seed", type=int, default=0, help="decides them")
    parser.add_argument("--only", type=int, help="make the mutation of this number alone")
    parser.add_argument("--keep", type=Path, help="with --only: leave the mutated folder there")
    chosen = parser.parse_args()
    if chosen.only is None:
        findings = campaign(chosen.count, chosen.seed, lambda text: print(text, flush=True))
    else:
        with fuzzer(chosen.seed) as one:
            if chosen.keep:
                one.keep = chosen.keep
            findings = one.mutated(chosen.only)
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    for group in sorted(groups.values(), key=len, reverse=True):
        print(f"{len(group)} x {group[0]}; also {[finding.number for finding in group[1:6]]}")
    print(f"{len(findings)} findings")
    if chosen.only is None:
        kinds = [f"{len(group)} x {group[0]}" for group in groups.values()]
        result = {"command": f"python -m faults.folders --count {chosen.count} --seed {chosen.seed}"}
        result |= {"versions": versions(), "mutations": chosen.count, "seed": chosen.seed, "findings": kinds}
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "folders.json").write_text(json.dumps(result, indent=2) + "\n")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
