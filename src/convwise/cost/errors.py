"""What can go wrong that a caller may wish to answer."""

from ..errors import UsageError


class NeedsValuesError(UsageError):
    """A module that must see the values of tensors was to be analyzed without any."""
