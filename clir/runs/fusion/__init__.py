"""Fusion of runs: `fuse` makes one of several, by a method, a normalisation and a rule for missing documents."""

from clir.runs.fusion.fusing import check, fuse
from clir.runs.fusion.languages import fuse_by_language
from clir.runs.fusion.methods import BY_SCORE, METHODS, READS
from clir.runs.fusion.normalizations import NORMALIZATIONS
from clir.runs.fusion.together import MISSING

__all__ = ["BY_SCORE", "METHODS", "MISSING", "NORMALIZATIONS", "READS", "check", "fuse", "fuse_by_language"]
