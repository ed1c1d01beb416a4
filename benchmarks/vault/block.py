"""Tables of what was measured: the bare limits, each tool, ours against them, and the aims."""

from __future__ import annotations

from programs import LIMITS, OURS, PEER_TOOLS
from report import table
from results import NOTHING, Results

AIM_LIMIT = 0.9
AIM_PEERS = 3.0
AIM_ROW = 1e-3
AIM_MEMORY = 64 << 20
SLOW_PEERS = ("tensorizer", "cryptotensors")
THREADS = (1, 2)
LIMIT_ROWS = (
    ("AES-256-GCM, encrypt, same 1 MiB buffers", "gcm same encrypt"),
    ("AES-256-GCM, decrypt, same 1 MiB buffers", "gcm same decrypt"),
    ("AES-256-GCM, encrypt, through the file in memory", "gcm through encrypt"),
    ("AES-256-GCM, decrypt, through the file in memory", "gcm through decrypt"),
    ("SHA-256, the file in memory", "sha256"),
    ("file copy (`shutil.copyfile`)", "copy"),
    ("file copy, fsync", "copy, fsync"),
    ("reading alone, 1 MiB pieces", "read"),
    ("writing alone, 1 MiB pieces", "write"),
    ("writing alone, fsync", "write, fsync"),
)
COMPARED = (
    "seal",
    "seal, fsync",
    "open",
    "open, fsync",
    "load",
    "tensor",
    "row",
    "row, again",
    "seal small",
    "open small",
)


def job_of(measure: str) -> str:
    return measure.partition(",")[0]


def absent(results: Results, name: str, measure: str) -> str:
    """What stands where a figure would: why there is none."""
    reason = results.reason(name, job_of(measure))
    if reason is None:
        return "–"
    return "missing" if reason.startswith("NotImplementedError") else "failed"


def seconds(results: Results, name: str, threads: int, measure: str, scale: float = 1.0, digits: int = 2) -> str:
    """Median and best."""
    median, best = results.median(name, threads, measure), results.best(name, threads, measure)
    if median is None or best is None:
        return absent(results, name, measure)
    return f"{median * scale:.{digits}f} ({best * scale:.{digits}f})"


def rate(results: Results, name: str, threads: int, measure: str) -> str:
    median = results.median(name, threads, measure)
    return f"{results.model_bytes / median / 1e9:.2f}" if median else ""


def ratio(results: Results, above: tuple[str, int, str], below: tuple[str, int, str]) -> str | None:
    """How many times as long the one takes as the other: of medians, and in brackets of bests."""
    over, under = results.median(*above), results.median(*below)
    best_over, best_under = results.best(*above), results.best(*below)
    if over is None or best_over is None or not under or not best_under:
        return None
    return f"{over / under:.2f} ({best_over / best_under:.2f})"


def everybody(results: Results, *, small: bool = False) -> list[tuple[str, int]]:
    """Names and threads, ours first; those without a figure once."""
    found = []
    for tool in (OURS, *PEER_TOOLS):
        if small and (tool.name, "seal small") in results.lacking:
            continue
        found += [(tool.name, threads) for threads in results.threads(tool.name) or [0]]
    return found


def limits(results: Results) -> str:
    header = ["bare limit", "1 thread, s", "GB/s", "2 threads, s", "GB/s"]
    rows: list[list[object]] = []
    for label, measure in LIMIT_ROWS:
        row: list[object] = [label]
        for threads in THREADS:
            row += [seconds(results, LIMITS.name, threads, measure), rate(results, LIMITS.name, threads, measure)]
        rows.append(row)
    return table(header, rows)


def files(results: Results) -> str:
    rows: list[list[object]] = []
    for name, threads in everybody(results):
        size = results.sizes.get(name)
        row = [
            seconds(results, name, threads, measure)
            for measure in ("seal", "seal, fsync", "open", "open, fsync", "load")
        ]
        rows.append([name, threads or "", *row, f"{size / results.model_bytes:.4f}" if size else ""])
    header = [
        "who",
        "threads",
        "seal, s",
        "with fsync",
        "open, s",
        "with fsync",
        "all tensors into memory, s",
        "size / plain",
    ]
    return table(header, rows)


def parts(results: Results) -> str:
    rows: list[list[object]] = []
    for name, threads in everybody(results):
        cells = [seconds(results, name, threads, "tensor", 1e3)]
        cells += [seconds(results, name, threads, measure, 1e3, 3) for measure in ("row", "row, again")]
        rows.append([name, threads or "", *cells])
    return table(["who", "threads", "a tensor of 32 MiB, ms", "a row, ms", "another row of that tensor, ms"], rows)


def small(results: Results) -> str:
    copy = [seconds(results, LIMITS.name, 1, measure) for measure in ("copy small", "copy small, fsync")]
    rows: list[list[object]] = [["plain copy (`shutil.copytree`)", 1, *copy, "", ""]]
    for name, threads in everybody(results, small=True):
        measures = ("seal small", "seal small, fsync", "open small", "open small, fsync")
        rows.append([name, threads or "", *(seconds(results, name, threads, measure) for measure in measures)])
    return table(["who", "threads", "seal, s", "with sync", "open, s", "with sync"], rows)


def memory(results: Results) -> str:
    rows: list[list[object]] = []
    for tool in (OURS, *PEER_TOOLS):
        row: list[object] = [tool.name]
        for job in ("seal", "open", "one"):
            found = results.memory.get((tool.name, job))
            row.append(absent(results, tool.name, job) if found is None else f"{found / (1 << 20):.0f}")
        rows.append(row)
    return table(["who", "seal, MiB", "open, MiB", "open and load one tensor, MiB"], rows)


def against_peers(results: Results) -> str:
    """How many times as fast ours is."""
    rows: list[list[object]] = []
    for threads in THREADS:
        for tool in PEER_TOOLS:
            theirs = threads if threads in tool.threads else max(tool.threads)
            row: list[object] = [f"{threads}", f"{tool.name}, {theirs}"]
            for measure in COMPARED:
                found = ratio(results, (tool.name, theirs, measure), (OURS.name, threads, measure))
                theirs_known = results.median(tool.name, theirs, measure) is not None
                row.append(found or absent(results, OURS.name if theirs_known else tool.name, measure))
            rows.append(row)
    return table(["our threads", "peer, threads", *COMPARED], rows)


def slowest(results: Results, threads: int, way: str, copy: str) -> tuple[str, tuple[str, int, str]] | None:
    """Of raw GCM with as many threads, SHA-256 and a file copy."""
    cipher = "encrypt" if way == "seal" else "decrypt"
    named = {"raw GCM": (threads, f"gcm same {cipher}"), "SHA-256": (1, "sha256"), "file copy": (1, copy)}
    known = {label: (LIMITS.name, *key) for label, key in named.items() if results.median(LIMITS.name, *key)}
    if len(known) < len(named):
        return None
    label = max(known, key=lambda each: results.median(*known[each]) or 0)
    return label, known[label]


def verdict(figure: float | None, aim: float, text: str, *, least: bool) -> str:
    if figure is None:
        return "not measured"
    return f"{text}: {'met' if (figure >= aim if least else figure <= aim) else 'missed'}"


def beside_limit(results: Results, threads: int, way: str, synced: str) -> str:
    """The aim of sealing and opening, against the slowest limit."""
    found = slowest(results, threads, way, f"copy{synced}")
    ours = (OURS.name, threads, f"{way}{synced}")
    median = results.median(*ours)
    if found is None or median is None:
        return "not measured"
    label, limit = found
    return verdict(
        (results.median(*limit) or 0) / median, AIM_LIMIT, f"{ratio(results, limit, ours)} of {label}", least=True
    )


def beside_peer(results: Results, threads: int, peer: str) -> str:
    """The aim of sealing, against a peer; with fsync where ours has no figure without."""
    for measure in ("seal", "seal, fsync"):
        ours, theirs = results.median(OURS.name, threads, measure), results.median(peer, threads, measure)
        if ours and theirs:
            text = f"{ratio(results, (peer, threads, measure), (OURS.name, threads, measure))}"
            return verdict(theirs / ours, AIM_PEERS, text, least=True)
    return "not measured"


def aims(results: Results) -> str:
    """The aims of the vault's issue, and whether they were met."""
    rows: list[list[object]] = []
    for way in ("seal", "open"):
        for synced in ("", ", fsync"):
            label = f"{way}{synced}: {AIM_LIMIT} of the slowest of raw GCM, SHA-256 and file copy{synced}"
            rows.append([label, *(beside_limit(results, threads, way, synced) for threads in THREADS)])
    for peer in SLOW_PEERS:
        row = [beside_peer(results, threads, peer) for threads in THREADS]
        rows.append([f"seal: {AIM_PEERS:.0f} times as fast as {peer}", *row])
    row = []
    for threads in THREADS:
        median = results.median(OURS.name, threads, "row")
        row.append(verdict(median, AIM_ROW, f"{1e3 * (median or 0):.3f} ms", least=False))
    rows.append(["a row: under 1 ms", *row])
    for job, label in (("seal", "seal"), ("open", "open"), ("one", "open and load one tensor")):
        found = results.memory.get((OURS.name, job))
        told = verdict(found, AIM_MEMORY, f"{(found or 0) / (1 << 20):.0f} MiB", least=False)
        rows.append([f"memory beside the result, {label}: 64 MiB", "", told])
    return table(["aim", "1 thread", "2 threads"], rows)


def failures(results: Results) -> list[str]:
    """What has no figure because it failed; what only follows from a failed sealing is left out."""
    found = [(name, job, reason) for (name, job), reason in sorted(results.failed.items())]
    return [f"- {name}, {job}: {reason.rstrip(' :')}" for name, job, reason in found if reason != NOTHING]


def text(results: Results) -> str:
    """The whole block."""
    told = [
        f"A safetensors file of {results.model_bytes / (1 << 30):.3g} GiB ({results.tensors} tensors of 32 MiB, random "
        f"bytes), {results.rounds} rounds in which everybody takes turns at each job; median, best in brackets. The "
        "page cache is warm for everybody: what a job reads is read just before, and what was written before is on the "
        "disk. With one thread a process is bound to one core, with two to two. *with fsync*: until the result is on "
        "the disk.",
        limits(results),
        "Files, from plain file to sealed file on disk and back:",
        files(results),
        "Parts of a file that was opened before: a tensor, and a row of a tensor, of which nothing was read yet; then "
        "another row of the same tensor.",
        parts(results),
        *(_small_text(results) if results.files else []),
        "Memory at the peak beyond what the process had before and beyond its result (a tensor of 32 MiB), in a "
        "process of its own for each:",
        memory(results),
        "How many times as fast ours is as each peer (their seconds / ours), of medians, of bests in brackets:",
        against_peers(results),
        aims(results),
        "\n".join(f"- {tool.name}: {tool.does}." for tool in PEER_TOOLS),
        *(["Failed or missing:\n\n" + "\n".join(failures(results))] if failures(results) else []),
    ]
    return "\n\n".join(told)


def _small_text(results: Results) -> list[str]:
    return [
        f"{results.files:,} files of 1 to 8 KiB ({results.files_bytes / (1 << 20):,.0f} MiB), {results.files_rounds} "
        "rounds; pyrage and Tink in a loop over the files:",
        small(results),
    ]
