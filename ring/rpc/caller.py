"""Who calls: on whose behalf a gRPC call is made.

Always true here: a caller that names an agency gets that agency's rights and no more; what is no
agency's name is refused, never taken for every role.
"""

from typing import Any

from ring.access import EVERY_ROLE, Caller
from ring.errors import InvalidRequest
from ring.values import name_of

KEY = "ring-agency"


def caller_of(context: Any) -> Caller:
    """From the call's metadata; without an agency, every role (the server is --insecure)."""
    named = [value for key, value in context.invocation_metadata() or () if key == KEY]
    if not named:
        return EVERY_ROLE
    if len(named) > 1:
        raise InvalidRequest(f"the metadata {KEY} is there {len(named)} times: give one agency")
    return Caller(name_of(str(named[0]), f"name of an agency (metadata {KEY})"))
