"""From the log: what clients felt of each event that was done to the system."""

AROUND_S = 30       # what counts as before and after, as far as no other event lies there


def is_good(attempt):
    return not attempt.get("error") and (attempt.get("status") or 599) < 500 and attempt.get("status") != 429


def percentile(values, share):
    ranked = sorted(values)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)] if ranked else None


def longest_gap(times, begin, end):
    """The longest time in [begin, end] without one of the times."""
    marks = [begin, *sorted(t for t in times if begin <= t <= end), end]
    return round(max(b - a for a, b in zip(marks, marks[1:])), 2)


def latencies(operations, begin, end):
    """p50 and p99 in ms of the operations that began then, as their users felt them: with all repetitions."""
    ms = [o["ms"] for o in operations if begin <= o["wall"] < end]
    return {"n": len(ms), "p50_ms": percentile(ms, 0.5), "p99_ms": percentile(ms, 0.99)}


def ended_at(attempt):
    return attempt["wall"] + attempt["ms"] / 1000


def table(log, events):
    """A row for each event. gap_s: the longest time without a good answer from its beginning to AROUND_S after its end;
    trouble_s: from its beginning to the last attempt that failed; retried: attempts that failed and were made again."""
    rows = []
    for i, (name, begin, end) in enumerate(events):
        since = max(begin - AROUND_S, events[i - 1][2] if i else 0)
        until = min(end + AROUND_S, events[i + 1][1] if i + 1 < len(events) else float("inf"),
                    max(map(ended_at, log.attempts), default=end))
        felt = [a for a in log.attempts if begin <= ended_at(a) and a["wall"] <= until]
        bad = [a for a in felt if not is_good(a)]
        good = [a for a in felt if is_good(a)]
        rows.append({
            "event": name, "begin": begin, "seconds": round(end - begin, 2),
            "gap_s": longest_gap(map(ended_at, good), begin, max(until, begin)),
            "upload_gap_s": longest_gap((ended_at(a) for a in good if a.get("status") == 201), begin, max(until, begin)),
            "trouble_s": round(max((ended_at(a) - begin for a in bad), default=0), 2),
            "failed": len(bad), "retried": sum(bool(a.get("again")) for a in bad),
            "before": latencies(log.operations, since, begin), "during": latencies(log.operations, begin, end),
            "after": latencies(log.operations, end, until)})
    return rows


def text(rows):
    """The table for people."""
    def cell(part, key):
        return "-" if part[key] is None else f"{part[key]:.0f}"
    lines = [f"{'event':40} {'for s':>7} {'gap s':>7} {'201 gap':>7} {'trouble':>7} {'failed':>6} {'again':>6}  "
             "p50/p99 ms before, during, after"]
    for row in rows:
        parts = ", ".join(f"{cell(row[when], 'p50_ms')}/{cell(row[when], 'p99_ms')}"
                          for when in ("before", "during", "after"))
        lines.append(f"{row['event'][:40]:40} {row['seconds']:7.1f} {row['gap_s']:7.1f} {row['upload_gap_s']:7.1f} "
                     f"{row['trouble_s']:7.1f} {row['failed']:6} {row['retried']:6}  {parts}")
    return "\n".join(lines)
