"""What stands between samples and the network: the device's way, others' ways, and the fold."""

from edge_unlock_convert.front_end.agreement import Agreement, Own
from edge_unlock_convert.front_end.answers import FrontEndAnswers
from edge_unlock_convert.front_end.description import Description
from edge_unlock_convert.front_end.device import PRIOR_FRAMES, FrontEnd, measure_normalization
from edge_unlock_convert.front_end.files import FRONT_END_NAME, find_front_end, read_front_end
from edge_unlock_convert.front_end.fold import Folded, fold
from edge_unlock_convert.front_end.ready import READY

__all__ = [
    "FRONT_END_NAME",
    "PRIOR_FRAMES",
    "READY",
    "Agreement",
    "Description",
    "Folded",
    "FrontEnd",
    "FrontEndAnswers",
    "Own",
    "find_front_end",
    "fold",
    "measure_normalization",
    "read_front_end",
]
