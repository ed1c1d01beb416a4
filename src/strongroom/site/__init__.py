"""Opens an installation and wires it. Nothing else reads configuration or the environment.

The site's directory is readable by its owner alone; docs/configuration.md says what lies where.
"""

from ._configuration import CONFIGURATION, Configuration
from ._site import ENVIRONMENT, OWN_WRITER, Site, own_door
from ._temporary import temporary_site

__all__ = [
    "CONFIGURATION",
    "ENVIRONMENT",
    "OWN_WRITER",
    "Configuration",
    "Site",
    "own_door",
    "temporary_site",
]
