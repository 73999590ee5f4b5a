"""Every type of the API, in one place."""

from .chat import *  # noqa: F403  # each of these modules holds such types alone
from .models import *  # noqa: F403
from .streaming import *  # noqa: F403
