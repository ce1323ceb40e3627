"""Put variables into the templates as the official image does, and become the command."""

import os
import re
import sys
from pathlib import Path

chosen = re.compile(os.environ.get("NGINX_ENVSUBST_FILTER", ""))
values = {name: value for name, value in os.environ.items() if chosen.search(name)}
output = Path(os.environ["NGINX_ENVSUBST_OUTPUT_DIR"])
for template in Path("/etc/nginx/templates").glob("*.template"):
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    (output / template.stem).write_text(text)
os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - it becomes the command, which signals then reach
