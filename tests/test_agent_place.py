"""Where an agent is: a folder of this user alone, and no other one by way of a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from sls_jupyter.agent.place import folder_of


def test_the_folder_is_private_and_its_own(tmp_path: Path) -> None:
    """Somebody who can write beside it would have the agent remove and write files in another folder of its user."""
    assert folder_of(tmp_path).stat().st_mode & 0o777 == 0o700
    for number, odd in enumerate(
        (lambda path: path.mkdir(mode=0o755), lambda path: path.symlink_to(folder_of(tmp_path)))
    ):
        root = tmp_path / str(number)
        root.mkdir()
        odd(root / "agent")
        with pytest.raises(PermissionError):
            folder_of(root)
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "agent").write_text("")
    with pytest.raises(OSError, match="agent"):
        folder_of(tmp_path / "file")
