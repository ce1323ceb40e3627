"""Write the settings that stand in variables, format the folder once, and become the broker."""

import os
import subprocess
from pathlib import Path

PROPERTIES = "/opt/kafka/config/server.properties"
RUN = "/opt/kafka/bin/kafka-run-class.sh"
CLUSTER = "5L6g3nShT-eMCtK--X86sw"
NO_SETTINGS = {"KAFKA_OPTS", "KAFKA_HEAP_OPTS"}

settings = {
    name[6:].lower().replace("_", "."): value for name, value in os.environ.items() if name.startswith("KAFKA_")
}
for name in NO_SETTINGS:
    settings.pop(name[6:].lower().replace("_", "."), None)
# The default of 128 MiB is taken on the heap at boot.
settings["log.cleaner.dedupe.buffer.size"] = "2097152"
with Path(PROPERTIES).open("w") as file:
    file.writelines(f"{name}={value}\n" for name, value in settings.items())
formatting = [
    RUN,
    "kafka.tools.StorageTool",
    "format",
    "--cluster-id",
    CLUSTER,
    "--config",
    PROPERTIES,
    "--ignore-formatted",
]
subprocess.run(formatting, check=True)
os.execv(RUN, [RUN, "kafka.Kafka", PROPERTIES])  # noqa: S606 - it becomes the broker, which signals then reach
