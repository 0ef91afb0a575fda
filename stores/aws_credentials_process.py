"""Prints AWS credentials as JSON, as AWS's `credential_process` does; `Error` where there are none.

    python -m stores.aws_credentials_process

botocore finds them: in files, by a role of the device, of a container or of a web identity.
"""

import json
import sys

from botocore.exceptions import BotoCoreError
from botocore.session import Session


def find_credentials() -> dict[str, str | int | None]:
    """Return the fields to print."""
    try:
        found = Session().get_credentials()
        if found is None:
            return {"Error": "Unable to locate credentials"}
        frozen = found.get_frozen_credentials()
    except BotoCoreError as error:
        return {"Error": str(error)}
    # botocore has no public name for it. Without it, expired credentials are read again after
    # AWS rejects them.
    expires = getattr(found, "_expiry_time", None)
    return {
        "Version": 1,
        "AccessKeyId": frozen.access_key,
        "SecretAccessKey": frozen.secret_key,
        "SessionToken": frozen.token,
        "Expiration": None if expires is None else expires.isoformat(),
    }


if __name__ == "__main__":
    json.dump(find_credentials(), sys.stdout)
