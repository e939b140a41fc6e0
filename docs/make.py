"""Make the tables and pictures of docs/networks and of the README's casebook from the casebook itself.

python docs/make.py            write them
python docs/make.py --check    only say whether they are up to date; exit code 1 where they are not
"""

import re
import sys
from importlib import import_module
from pathlib import Path

from convwise import networks
from convwise.cost import sketch
from convwise.networks.casebook import Argument, Entry, shared
from convwise.report.picture import draw_network

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "networks"
STAR = r"\*"
BLOCK = re.compile(r"(<!-- (numbers|arguments|deviations|casebook): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
# From its label, or the name of a second network, to an empty line or the next label.
DEVIATIONS = re.compile(
    r"^(?:Deviations: |(?=`\w+`[^\n]* deviates further: ))(.+?)(?=^(?:Paper|Here|Input|Published)[,:]|^$|\Z)",
    re.DOTALL | re.MULTILINE,
)
PICTURE = re.compile(r"!\[(.+?) as its feature-map volumes\]\((?:docs/networks/)?(\w+)\.svg\)")


def numbers(names: list[str]) -> str:
    """Printed and counted costs, a row a network, and below them the sources and the reasons."""
    head = "| network | input | params, printed | counted | MACs, printed | counted | top-1, published |"
    rows, notes = [head, "|---|---|---|---|---|---|---|"], {}
    for name in names:
        entry = networks.describe(name)
        printed = entry.printed
        params, macs = (printed.params or "-", printed.macs or "-") if printed else ("-", "-")
        rows.append(
            f"| `{name}` | {entry.resolution} x {entry.resolution} x {entry.channels} | {params} | {entry.params:,} "
            f"| {macs} | {entry.macs:,} | {_top1(entry)} |"
        )
        notes[name] = entry.notes()
    return "\n".join([*rows, *_other_forms(names), "", *(f"- {note}" for note in shared(notes, "`"))])


def casebook(names: list[str]) -> str:
    """One row a network: the README's table."""
    rows = ["| network | year | its idea | params | MACs | top-1, published |", "|---|---|---|---|---|---|"]
    for name in names:
        entry = networks.describe(name)
        rows.append(
            f"| `{name}` | {entry.paper.year} | {entry.idea} | {_short(entry.params)} | {_short(entry.macs)} "
            f"| {_top1(entry)} |"
        )
    return "\n".join([*rows, *_other_forms(names)])


def arguments(names: list[str]) -> str:
    """What the builders of these networks take besides the number of classes, a row an argument."""
    takers: dict[tuple[str, Argument], list[str]] = {}
    for name in names:
        for item in networks.describe(name).arguments.items():
            takers.setdefault(item, []).append(name)
    rows = ["| argument | is | default | meaning | of |", "|---|---|---|---|---|"]
    for (key, argument), whose in takers.items():
        of = "all" if whose == names else ", ".join(f"`{name}`" for name in whose)
        rows.append(f"| `{key}` | {argument.words()} | {argument.usual()} | {argument.meaning} | {of} |")
    return "\n".join(rows)


def deviations(modules: list[str]) -> str:
    """What the files of the networks say of themselves."""
    lines = []
    for module in modules:
        text = import_module(f"convwise.networks.{module}").__doc__ or ""
        title = text.partition(" (")[0]
        found = [" ".join(paragraph.split()) for paragraph in DEVIATIONS.findall(text)]
        assert found, module
        found[0] = f"{title}: {found[0]}" if len(modules) > 1 else found[0][:1].upper() + found[0][1:]
        lines += found
    return "\n\n".join(lines)


def _top1(entry: Entry) -> str:
    return entry.accuracy.percent(STAR) if entry.accuracy else "-"


def _other_forms(names: list[str]) -> list[str]:
    """What the star in a table means, where it has one."""
    found = [(name, networks.describe(name).accuracy) for name in names]
    forms = [f"`{name}` of {accuracy.form}" for name, accuracy in found if accuracy and accuracy.form]
    return ["", f"{STAR} Published of another form than the one counted: {'; '.join(forms)}."] if forms else []


def _short(count: int) -> str:
    """Three digits: 61.7 k, 138 M, 15.5 G."""
    for unit, word in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {word}"
    return str(count)


MAKE = {"numbers": numbers, "arguments": arguments, "casebook": casebook, "deviations": deviations}


def filled(page: str) -> str:
    """A page with every block made anew."""
    return BLOCK.sub(lambda m: f"{m[1]}\n{MAKE[m[2]](m[3].split())}\n\n{m[4]}", page)


def made() -> dict[Path, str]:
    """Every file that this makes, with what should be in it."""
    files = {}
    for path in (ROOT / "README.md", *sorted(PAGES.glob("*.md"))):
        page = path.read_text(encoding="utf-8")
        files[path] = filled(page)
        for title, name in PICTURE.findall(page):
            with sketch():
                network = networks.create(name)
            files[PAGES / f"{name}.svg"] = draw_network(network, networks.input_shape(name), title)
    return files


def main() -> int:
    """Write, or with --check compare."""
    check = "--check" in sys.argv
    files = made()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{'stale' if check else 'made'}: {path.relative_to(ROOT)}")
        if not check:
            path.write_text(files[path], encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
