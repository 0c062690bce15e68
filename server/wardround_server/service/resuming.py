"""How to resume a run that ended with an error, in the words of its caller."""

from __future__ import annotations

from wardround_common.errors import OtherVersionError, RoundError, StorageError, WardroundError


def resuming(error: WardroundError, command: str, finishing: int = 0) -> str:
    """Say which command resumes a run after this error; nothing if resuming would meet the same error again.

    ``command``: the one that resumes it; with ``--give-up`` it also skips a round that can no longer be summed.
    ``finishing``: how many rounds a run has that the command can end with ``--finish``; 0 where it cannot.
    """
    if not isinstance(error, RoundError | StorageError) or isinstance(error, OtherVersionError):
        return ""
    said = f"Resume with: {command}"
    if isinstance(error, RoundError) and error.give_up:
        said += (
            f"; if that can never succeed, since a hospital is gone for good or this coordinator was restored from an "
            f"older copy, skip the round: {command} --give-up"
        )
    if isinstance(error, RoundError) and finishing:
        said += f". To train no more and end with the model of round {finishing}: {command} --finish"
    return said
