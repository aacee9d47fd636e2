"""What every command that decides has: its gatekeeper, and what its exit status says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_unlock.cli.session import Session
    from edge_unlock.gatekeeper import Gatekeeper

EXIT_CODES = {"accepted": 0, "rejected": 3, "retry": 4, "locked out": 5}


def gatekeeper_of(
    session: Session,
    name: str | None,
    operating_point: str | None,
    device: str | None,
    *,
    continuous: bool = False,
) -> Gatekeeper:
    """Who decides in this session, whether it is ``name`` or, without one, who it is."""
    from edge_unlock.gatekeeper import Gatekeeper
    from edge_unlock.recognizer import Recognizer
    from edge_unlock.vault import validate_user_name

    return Gatekeeper(
        session.vault,
        Recognizer(session.encoder, session.scorer, session.identity, operating_point),
        None if name is None else validate_user_name(name),
        policy=session.policy,
        microphone=session.microphone(device),
        continuous=continuous,
        idle_limit_h=session.idle_limit_hours,
    )
