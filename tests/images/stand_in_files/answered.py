"""`curl` and `wget` as health checks use them: exit 0 where the last argument is answered, `wget` with success."""

import sys
import urllib.error
import urllib.request

try:
    urllib.request.urlopen(sys.argv[-1], timeout=3)  # noqa: S310 - the address is the health check's own
except urllib.error.HTTPError:
    sys.exit(sys.argv[1] == "wget")
except OSError:
    sys.exit(1)
