"""How numbers and names read on the page: per cent, human units, hostile characters shown as escapes."""

import base64
import math

from markupsafe import Markup, escape

from ..data import text

DASH = "\u2013"
SPACE = "\u00a0"  # a number stays on the line of its unit


def visible(value: object) -> object:
    """Show hostile characters of a string as Python escapes; leave markup and everything else alone."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return text.visible(value)
    return value


def prose(sentence: str) -> Markup:
    """Set what stands between `backticks` as code, and escape everything."""
    parts = str(visible(sentence)).split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner is a character like any other
        return escape(visible(sentence))
    code = Markup("<code><bdi>{}</bdi></code>")
    return Markup("").join(code.format(part) if k % 2 else escape(part) for k, part in enumerate(parts))


def percent(share: float) -> str:
    """Print a share in [0, 1] as per cent: 95.4; nan is a dash."""
    return DASH if math.isnan(share) else f"{100 * share:.1f}"


def careful_percent(share: float) -> str:
    """Print a share as per cent, 99.97 rather than a false 100.0, for the one figure that is quoted alone."""
    digits = 1
    while share < 1 and round(100 * share, digits) >= 100 and digits < 6:
        digits += 1
    return DASH if math.isnan(share) else f"{100 * share:.{digits}f}"


def signed(value: float) -> str:
    """One decimal, with its sign: "+3.1"."""
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def multiple(times: float) -> str:
    """Print a multiple with up to three figures: x 5, x 4.97."""
    return f"x{SPACE}{times:.3g}"


def decimal(value: float) -> str:
    """Print a number with three decimals; nan is a dash."""
    return DASH if math.isnan(value) else f"{value:.3f}"


def plural(n: int, noun: str, nouns: str = "") -> str:
    """Print "1 image", "12,402 images", not to be torn apart."""
    return text.counted(n, noun, nouns).replace(" ", SPACE, 1)


def quantity(value: float, unit: str = "") -> str:
    """Print a count in thousands, millions, ...: 385.2 M MACs, 13.6 MB."""
    prefix = ""
    for larger in "kMGTP":
        if round(value, 1) < 1000:
            break
        value, prefix = value / 1000, larger
    number = f"{value:.1f}" if prefix else f"{value:.0f}"
    gap = SPACE if len(unit) > 1 and prefix else ""  # 13.6 MB, but 385.2 M MACs
    return f"{number}{SPACE}{prefix}{gap}{unit}".rstrip(SPACE)


def milliseconds(value: float) -> str:
    """Print milliseconds with three figures: 6.71 ms, 24.5 ms, 812 ms; nan is a dash."""
    if math.isnan(value):
        return DASH
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}{SPACE}ms"


def duration(seconds: float) -> str:
    """Print seconds as a person says them: 4.2 s, 75 s, 12 min 05 s, 1 h 05 min; nan is a dash."""
    if math.isnan(seconds):
        return DASH
    if seconds < 9.95:
        return f"{seconds:.1f}{SPACE}s"
    whole = round(seconds)
    if whole < 90:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60:02}{SPACE}s"
    return f"{whole // 3600}{SPACE}h {whole % 3600 // 60:02}{SPACE}min"


def data_uri(jpeg: bytes) -> str:
    """Put a JPEG into the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
