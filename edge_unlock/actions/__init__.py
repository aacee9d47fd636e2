"""What happens when somebody is recognised: each kind of action is a class with one method."""

from typing import TYPE_CHECKING

from edge_unlock.lazy import lazy_names

if TYPE_CHECKING:
    from edge_unlock.actions.action import Action
    from edge_unlock.actions.command import Command
    from edge_unlock.actions.fake import Fake
    from edge_unlock.actions.relay import Relay

__all__ = ["Action", "Command", "Fake", "Relay"]
__getattr__ = lazy_names(
    __name__, {"Action": "action", "Command": "command", "Fake": "fake", "Relay": "relay"}
)
