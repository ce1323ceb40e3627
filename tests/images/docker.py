"""The platform with the official images, where a Docker engine answers."""

import shutil
import subprocess
from typing import Final

from testcontainers.compose import DockerCompose
from tests.images import customer
from tests.images.customer import Customer

from engines import checkout

GATEWAY: Final = "http://127.0.0.1:8080"


def docker_answers() -> bool:
    """Return whether a Docker engine is there to build and run images."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode == 0


def serve_with_docker() -> None:
    """Build and start everything, and see a deposit reach the history."""
    with DockerCompose(str(checkout.ROOT), build=True, wait=True) as compose:
        printed, _, _ = compose.exec_in_container(list(customer.BOOTSTRAP), service_name="access-api")
        client = Customer(GATEWAY, customer.key_of(printed))
        client.wait_known()
        wallet_id = client.open_wallet("anna")
        client.wait_visible(wallet_id, client.deposit(wallet_id))
