"""How charts look: the colours of the peers, an empty figure, and a file that is the same each time it is drawn."""

from pathlib import Path

try:
    import matplotlib
except ImportError:
    matplotlib = None

# Blue is this project; told apart by those who see few colours too.
COLOURS = {
    "ours": "#0a56a8",
    "ours+lean": "#62aee8",
    "ours+epoll": "#12325c",
    "tokio": "#c8324b",
    "go": "#2b9a8b",
    "may": "#e39a2d",
    "monoio": "#7c4f9b",
}
OTHER = "#8c8c8c"
# So that lines are told apart without colours too.
MARKS = {"ours": "o", "ours+lean": "s", "ours+epoll": "v", "tokio": "D", "go": "^", "may": "P", "monoio": "X"}

SETTINGS = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#666666",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "svg.fonttype": "none",
    "svg.hashsalt": "benches",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
}


def available():
    return matplotlib is not None


def colour(peer):
    return COLOURS.get(peer, OTHER)


def mark(peer):
    return MARKS.get(peer, ".")


def panels(count, width, height):
    """A figure with so many panels beside each other."""
    matplotlib.use("svg")
    matplotlib.rcParams.update(SETTINGS)
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=(width, height), layout="constrained", squeeze=False)
    return figure, list(axes[0])


def legend(figure, axes, columns):
    """One for all panels, beneath them."""
    entries = {}
    for each in axes:
        for handle, label in zip(*each.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)


def save(figure, folder, name):
    from matplotlib import pyplot

    # Without a date, and with known identifiers: drawn again it is the same.
    figure.savefig(Path(folder) / f"{name}.svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
