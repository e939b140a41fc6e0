"""`python -m convwise` is `convwise`."""

from .cli import main

main()
