"""The receiver of webhooks: it verifies each with the specification's own package and remembers what came."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tests.chaos.judge.observed import Endpoint, Post

from testkit import receiver
from testkit.receiver import Reply

OK = range(200, 300)
THINKING_S = 0.15
BAD_SIGNATURE = Reply(400)


def sound(_post: receiver.Post) -> Reply:
    """Accept it after a moment, in which others come."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(THINKING_S, over.set)
    return Reply(after=over)


@dataclass(slots=True)
class _Address:
    endpoint_id: str
    verifier: Webhook
    answer: Callable[[receiver.Post], Reply]


@dataclass(slots=True)
class Inbox:
    """Endpoints and what came for them. *strays* came to a path that is no endpoint's."""

    endpoints: list[Endpoint] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    _addresses: dict[str, _Address] = field(default_factory=dict)

    def expect(
        self, path: str, endpoint: Endpoint, secret: str, answer: Callable[[receiver.Post], Reply] = sound
    ) -> None:
        """Take webhooks of *endpoint*, signed with *secret*, at *path*, and answer them as *answer* says."""
        self.endpoints.append(endpoint)
        self._addresses[path] = _Address(endpoint.id, Webhook(secret), answer)

    def endpoint_of(self, path: str) -> str:
        """Return the id of the endpoint at *path*."""
        return self._addresses[path].endpoint_id

    def change(self, path: str, answer: Callable[[receiver.Post], Reply]) -> None:
        """Answer otherwise from now on."""
        self._addresses[path].answer = answer

    def came(self, path: str) -> int:
        """Return how many posts came to *path*."""
        return sum(post.endpoint_id == self.endpoint_of(path) for post in self.posts)

    def answer(self, post: receiver.Post) -> Reply:
        """Take one post."""
        address = self._addresses.get(post.path)
        if address is None:
            self.strays.append(post.path)
            return Reply(404)
        is_signed = _is_signed(address.verifier, post)
        reply = address.answer(post) if is_signed else BAD_SIGNATURE
        self.posts.append(
            Post(
                endpoint_id=address.endpoint_id,
                webhook_id=post.webhook_id,
                event_id=json.loads(post.body)["data"]["event_id"],
                is_signed=is_signed,
                is_accepted=reply.status in OK and not reply.hangs,
            )
        )
        return reply


def _is_signed(verifier: Webhook, post: receiver.Post) -> bool:
    try:
        verifier.verify(post.body, dict(post.headers))
    except WebhookVerificationError:
        return False
    return True
