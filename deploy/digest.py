"""Print the digest of an image of the release: `python3 -m deploy.digest cloud`."""

import sys

from deploy.release import RECORD, read
from deploy.tools import DeliveryError

if __name__ == "__main__":
    try:
        print(read(RECORD).images[sys.argv[1]].digest)
    except (DeliveryError, KeyError) as error:
        sys.exit(f"digest: {error}")
