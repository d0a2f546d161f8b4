"""What the explorations of one session have seen: of all of its processes, for the summary and for the campaign.

A test session leaves it in build/explored.json, so that `python -m tests.testing.campaign ci --beside-tests` explores
only what is missing for the numbers that CI promises.
"""

import collections
import json
from pathlib import Path

from pmemobj.testing import Report

PATH = Path(__file__).resolve().parents[2] / "build" / "explored.json"

#: "journal images", "journal power losses", "journal kills", "direct ...", and "SIGKILL".
seen: collections.Counter[str] = collections.Counter()


def add(engine: str, report: Report) -> None:
    seen[f"{engine} images"] += report.images
    seen[f"{engine} power losses"] += report.power_losses
    seen[f"{engine} kills"] += report.kills


def add_killed(processes: int) -> None:
    seen["SIGKILL"] += processes


def text() -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(seen.items()))


def save() -> None:
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(seen, indent=1, sort_keys=True))


def saved() -> collections.Counter[str]:
    return collections.Counter(json.loads(PATH.read_text())) if PATH.exists() else collections.Counter()
