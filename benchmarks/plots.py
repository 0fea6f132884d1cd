"""The plots of a report of ``run.py``; needs matplotlib."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # files only: no display is needed

from matplotlib import pyplot, ticker

#: Told apart by people who see fewer colours, and in grey.
OURS, PEER, MUST, AIM = "#0072b2", "#999999", "#d55e00", "#009e73"


def draw(report: dict[str, Any], directory: Path) -> list[Path]:
    """Write the plots of *report* to *directory*; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for interpreter in report["interpreters"]:
        name = interpreter["python"].replace(" ", "-") + ("" if interpreter["gil"] else "-free-threaded")
        paths += save(ratios(interpreter, report), directory / f"ratios-{name}")
        paths += save(values(interpreter, report), directory / f"values-{name}")
    return paths


def save(figure: Any, path: Path) -> list[Path]:
    """As PNG and as SVG."""
    written = []
    for suffix in (".png", ".svg"):
        written.append(path.with_name(path.name + suffix))
        figure.savefig(written[-1], dpi=120, bbox_inches="tight")
    pyplot.close(figure)
    return written


def caption(interpreter: dict[str, Any], report: dict[str, Any]) -> str:
    machine = report["machine"]
    return f"{interpreter['python']}, {machine['processor']}, {machine['cpus']} CPUs, {report['rounds']} rounds"


def ratios(interpreter: dict[str, Any], report: dict[str, Any]) -> Any:
    """Each row's ratio with the least and the greatest of the rounds, beside its goals."""
    rows = [row for row in interpreter["results"] if row["ratio"] is not None][::-1]
    figure, axes = pyplot.subplots(figsize=(9, 1.4 + 0.36 * len(rows)), layout="constrained")
    axes.axvline(1, color=PEER, linewidth=1)
    for place, row in enumerate(rows):
        axes.plot([row["least"], row["greatest"]], [place, place], color=OURS, linewidth=1.5)
        axes.plot(row["ratio"], place, "o", color=OURS, label="median, and the rounds' range")
        for kind, marker, color in (("must", "|", MUST), ("aim", "D", AIM)):
            if row[kind] is not None:
                size = 14 if kind == "must" else 5
                axes.plot(row[kind], place, marker, color=color, markersize=size, markeredgewidth=2, label=kind)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.set_yticks(range(len(rows)), [f"{row['title']} / {row['peer']['name']}" for row in rows])
    axes.set_xlabel("times better than the peer (logarithmic)")
    axes.set_title(caption(interpreter, report), fontsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(named.values(), named.keys(), fontsize=8, loc="outside lower center", ncols=3)
    return figure


def values(interpreter: dict[str, Any], report: dict[str, Any]) -> Any:
    """Each workload's numbers, contestant by contestant: the median, and a dot for each round."""
    from workloads import WORKLOADS

    measured = interpreter["measured"]
    heights = [len(contestants) for contestants in measured.values()]
    figure, all_axes = pyplot.subplots(
        len(measured),
        figsize=(8, 0.34 * sum(heights) + 0.95 * len(heights)),
        squeeze=False,
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
    )
    ours = {row["ours"]["name"] for row in interpreter["results"]}
    for axes, (workload, contestants) in zip(all_axes[:, 0], measured.items(), strict=True):
        for place, (name, numbers) in enumerate(reversed(contestants.items())):
            seen = sorted(number for number in numbers if number is not None)
            if seen:
                axes.barh(place, seen[len(seen) // 2], color=OURS if name in ours else PEER, height=0.6)
                axes.plot(seen, [place] * len(seen), ".", color="black", markersize=3)
        about = WORKLOADS[workload]
        better = "more" if about.more_is_better else "less"
        axes.set_yticks(range(len(contestants)), list(contestants)[::-1], fontsize=8)
        axes.set_title(f"{about.title}, {about.unit} ({better} is better)", fontsize=9, loc="left")
        axes.tick_params(axis="x", labelsize=8)
        axes.set_xlim(left=0)
    figure.suptitle(caption(interpreter, report), fontsize=9)
    return figure
