"""Opens an installation and wires it. Nothing else reads configuration or the environment.

The site's directory is readable by its owner alone; docs/configuration.md says what lies where.
"""

from typing import TYPE_CHECKING

from ._care import accept_rows, back_up, compare_site, restore
from ._configuration import CONFIGURATION, Configuration
from ._doctor import Problem, examine
from ._doors import CLIENT_CONFIGURATION, named_service, named_use, own_door, service_door
from ._site import ENVIRONMENT, OWN_WRITER, Site
from ._temporary import temporary_site

if TYPE_CHECKING:  # it brings Cedar, which few commands need
    from ._access import Administration as Administration

__all__ = [
    "CLIENT_CONFIGURATION",
    "CONFIGURATION",
    "ENVIRONMENT",
    "OWN_WRITER",
    "Configuration",
    "Problem",
    "Site",
    "accept_rows",
    "back_up",
    "compare_site",
    "examine",
    "named_service",
    "named_use",
    "own_door",
    "restore",
    "service_door",
    "temporary_site",
]
