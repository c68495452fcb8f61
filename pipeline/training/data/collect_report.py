"""The report of `train data`: what was kept, what was dropped and why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.media.safe_files import write_durably
from pipeline.training.data.clip_worker import room
from pipeline.training.data.collect import WAITING, Collection

FILE = "report.json"
SHOWN = 20  # dropped parts that are printed; the file has all


def write_report(collection: Collection, output: Path) -> dict[str, Any]:
    """Write `report.json` and return what it says."""
    report = report_of(collection)
    path = output / FILE
    text = json.dumps(report, indent=1)
    with room(output / WAITING):
        write_durably(path, text.encode(), path)
    return report


def report_of(collection: Collection) -> dict[str, Any]:
    """Return counts, and every dropped part with its reason, as plain JSON values."""
    index = collection.index
    clips = index.clips
    dropped = []
    notes = []
    for source in index.sources.values():
        dropped += [{"source": source.name, **asdict(drop)} for drop in source.dropped]
        notes += [{"source": source.name, "note": note} for note in source.notes]
    for name, drop in collection.unread.items():
        dropped.append({"source": name, **asdict(drop)})
    reasons = Counter(drop["reason"] for drop in dropped)
    methods = Counter(clip.method for clip in clips if clip.method)
    work_seconds = sum(source.work_seconds for source in index.sources.values())
    frames = sum(clip.frames for clip in clips)
    seconds = sum(clip.frames / clip.fps for clip in clips)
    with_sound = sum(clip.has_sound for clip in clips)
    return {
        "kind": index.kind,
        "videos": len(index.sources) + len(collection.unread),
        "clips": len(clips),
        "frames": frames,
        "seconds": round(seconds, 2),
        "clips_with_sound": with_sound,
        "shards": len(index.shards),
        "outpainted_by": dict(methods),
        "dropped_parts": len(dropped),
        "dropped_by_reason": dict(reasons.most_common()),
        "ignored_files": collection.ignored,
        "work_seconds": round(work_seconds, 1),
        "settings": index.settings,
        "dropped": dropped,
        "notes": notes,
    }


def printed_report(collection: Collection) -> str:
    """Return the report as lines for people."""
    report = report_of(collection)
    lines = [
        f"{report['videos']} videos -> {report['clips']} {report['kind']} clips "
        f"({report['frames']} frames, {report['seconds']:.0f} s, "
        f"{report['clips_with_sound']} with sound) in {report['shards']} shards; "
        f"{report['work_seconds']:.0f} s of work"
    ]
    for method, count in report["outpainted_by"].items():
        lines.append(f"references outpainted by {method}: {count}")
    if report["dropped"]:
        lines.append(f"dropped parts: {report['dropped_parts']}")
    for reason, count in report["dropped_by_reason"].items():
        lines.append(f"  {count:5d}  {reason}")
    for drop in report["dropped"][:SHOWN]:
        place = ""
        if drop["stop_seconds"] > 0:
            place = f" {drop['start_seconds']:.1f}-{drop['stop_seconds']:.1f} s"
        lines.append(f"  {drop['source']}{place}: {drop['reason']}, {drop['detail']}")
    if len(report["dropped"]) > SHOWN:
        lines.append(f"  all are in {FILE}")
    for note in report["notes"][:SHOWN]:
        lines.append(f"  {note['source']}: {note['note']}")
    for ending, count in report["ignored_files"].items():
        name = ending or "no ending"
        lines.append(f"ignored: {count} files with {name}")
    return "\n".join(lines)
