"""`convwise cache`."""

from typing import Annotated, Any

from typer import Option

from .output import Json, print_json, say


def cache(
    clear: Annotated[bool, Option("--clear", help="Delete everything in it.")] = False, json: Json = False
) -> None:
    """Show what the cache holds, or clear it.

    CONVWISE_CACHE says where it is, CONVWISE_CACHE_GB (20) how much it may hold.
    """
    from ..places import cache_dir
    from ..runtime.cache import cache_limit, cache_usage, clear_cache

    before = cache_usage()
    if clear:
        clear_cache()
    usage = cache_usage()
    record: dict[str, Any] = {
        "path": str(cache_dir()), "bytes": sum(usage.values()), "limit_bytes": cache_limit(), **usage,
        "freed_bytes": sum(before.values()) - sum(usage.values()),
    }  # fmt: skip
    if json:
        print_json(record)
        return
    say(f"{record['path']}: {record['bytes'] / 1e6:.1f} MB of at most {cache_limit() / 1e9:g} GB")
    for kind, size in usage.items():
        say(f"  {kind:7} {size / 1e6:9.1f} MB")
    if clear:
        say(f"  freed   {record['freed_bytes'] / 1e6:9.1f} MB")
