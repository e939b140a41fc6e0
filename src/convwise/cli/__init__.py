"""The command line: one small file per command; arguments in, library call, result out."""

import os
import sys
import warnings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: its threads must not spin while others work

import typer

from ..errors import ConvwiseError
from . import cache, demo, evaluate, fit, predict, scan

app = typer.Typer(
    name="convwise",
    help="A folder of labelled images in, a proven image classifier out.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for command in (demo.demo, scan.scan, fit.fit, evaluate.evaluate, predict.predict, cache.cache):
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
    try:
        code = app(standalone_mode=False)
    except ConvwiseError as error:
        code = _fail(str(error), error.exit_code)
    except typer.Abort:
        code = _fail("interrupted; what was computed is kept, the same command goes on", 130)
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "format_message"):
            raise
        code = _fail(error.format_message(), 2)  # what typer says of a command line that it cannot read
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    from ..data.text import visible

    sys.stderr.write(f"convwise: {visible(message)}\n")
    return code
