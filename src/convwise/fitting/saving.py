"""A candidate that was fitted, saved as a classifier."""

import shutil
from pathlib import Path

import numpy as np

from .. import __version__
from ..classifier import Architecture, Artefacts, Classifier, save
from ..data.provenance import ImageSet, Provenance
from ..data.roles import Roles
from ..data.samples import Listing
from .draft import run_errors
from .options import Options
from .task import Candidate, Fitted


@run_errors()
def save_fitted(
    folder: Path, candidate: Candidate, fitted: Fitted, roles: Roles, *, listing: Listing, options: Options,
    temperature: float,
) -> Classifier:  # fmt: skip
    """Write it into a folder, in place of what an interrupted attempt has left there, and load it.

    Raises:
        MachineError: it cannot be written.
    """
    artefacts = Artefacts(*fitted.artefacts())
    rear, cut = fitted.rear or (None, None)
    if folder.exists():
        shutil.rmtree(folder)
    return save(
        folder, network=Architecture(candidate.network, fitted.arguments, cut, rear), classes=roles.classes,
        preprocessing=fitted.preprocessing, cost=candidate.cost(len(roles.classes)),
        provenance=_provenance(candidate, fitted, roles, listing, options),
        artefacts=artefacts, temperature=temperature,
    )  # fmt: skip


def _provenance(
    candidate: Candidate, fitted: Fitted, roles: Roles, listing: Listing, options: Options
) -> Provenance:  # fmt: skip
    samples = np.array([s.sha256 for s in roles.samples])
    chose = np.array([s.split in ("train", roles.chooses) for s in roles.samples]) & ~fitted.fitted_on
    trained_on, chosen_on = ImageSet.of(samples[fitted.fitted_on]), ImageSet.of(samples[chose])
    for teacher in fitted.taught_by:  # what it knows of images is in its answers
        trained_on, chosen_on = trained_on | teacher.trained_on, chosen_on | teacher.chosen_on
    return Provenance(
        data=str(listing.root),
        split_seed=options.split_seed,
        trained_on=trained_on,
        chosen_on=chosen_on - trained_on,
        convwise=__version__,
        weights=candidate.weights._asdict() if candidate.weights else None,
    )
