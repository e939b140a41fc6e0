"""The command line: one small file per command; arguments in, library call, result out."""

import io
import os
import sys
import warnings
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: its threads must not spin while others work

import typer

from .. import machine
from ..errors import ConvwiseError
from . import augment, cache, conv, cost, demo, evaluate, fit, networks, predict, scan

NO_MEMORY = "the machine gave out: not enough memory; fewer threads, smaller images and a lower resolution need less"
INTERRUPTED, READER_GONE = 130, 141
app = typer.Typer(
    name="convwise",
    help="A folder of labelled images in, a proven image classifier out.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for command in (
    demo.demo, scan.scan, fit.fit, evaluate.evaluate, predict.predict, networks.networks, cost.cost,
    conv.conv, augment.augment, cache.cache,
):  # fmt: skip
    app.command()(command)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        from .. import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error that a user can cause becomes one line and its exit code."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what Pillow finds odd is in the results, file by file
    _open_streams()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer has taken the KeyboardInterrupt
            _interrupted()
    except (KeyboardInterrupt, typer.Abort):
        code = _interrupted()
    except ConvwiseError as error:
        code = _fail(str(error), error.exit_code)
    except SystemExit as ended:  # typer ends so, with 1, when the reader of our output has gone, as with `| head`
        code = READER_GONE if ended.code == 1 else ended.code
    except MemoryError:
        code = _fail(NO_MEMORY, 6)
    except OSError as error:
        _drop_stdout()
        where = f" {error.filename!r}" if error.filename else ""
        code = _fail(f"the machine gave out: {error.strerror or error}{where}", 6)
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            code = _misused(error)
        elif any(words in str(error).lower() for words in machine.OUT_OF_MEMORY):
            code = _fail(NO_MEMORY, 6)
        else:
            raise
    sys.exit(code)


def _interrupted() -> int:
    return _fail("interrupted; what was computed is kept, the same command goes on", INTERRUPTED)


def _misused(error: Any) -> int:
    """Say what typer has against a command line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error.format_message()}\n")
        return 2
    return _fail(error.format_message(), 2)


def _fail(message: str, code: int) -> int:
    from ..data.text import visible

    sys.stderr.write(f"convwise: {visible(message)}\n")
    return code


def _open_streams() -> None:
    """Make both streams exist and take any name, also where they are closed or not UTF-8."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (it stays open)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_stdout() -> None:
    """Send what is still to be flushed at exit to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
