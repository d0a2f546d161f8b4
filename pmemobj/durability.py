"""What is guaranteed for a pool, in words and for machines."""

import os
from dataclasses import dataclass

__all__ = ["Durability", "describe", "describe_snapshot", "file_system_of"]

#: File systems on which locks or syncs cannot be trusted to do what they say.
REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "ceph", "afs", "glusterfs"}
VOLATILE = {"tmpfs", "ramfs"}

POWER_LOSS = {
    "commit": "nothing that was committed is lost",
    "interval": "consistent; at most the changes of the last {interval:g} s are lost",
    "manual": "consistent as of the last pool.sync() or later",
}


@dataclass(frozen=True)
class Durability:
    """The guarantees of one open pool; str() gives readable lines.

    engine: "journal" or "direct", or "snapshot" for a pool opened with flag="r".
    reason: why this engine.
    sync: the policy, "commit", "interval" or "manual", or "none" for a snapshot; sync_interval in seconds.
    file_system: type of the file system that holds the pool, such as "ext4".
    program_killed: what is lost when the program dies, also by SIGKILL.
    power_loss: what is lost when the machine or its operating system dies.
    warnings: why less may be true on this file system.
    """

    engine: str
    reason: str
    sync: str
    sync_interval: float
    file_system: str
    program_killed: str
    power_loss: str
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"engine            {self.engine} ({self.reason})",
            f"sync              {self.sync}"
            + (f", every {self.sync_interval:g} s" if self.sync == "interval" else ""),
            f"file system       {self.file_system}",
            f"program killed    {self.program_killed}",
            f"power loss        {self.power_loss}",
        ]
        return "\n".join(lines + [f"warning           {text}" for text in self.warnings])


def file_system_of(path: str) -> str:
    """Type of the file system that holds `path`, from the mount table; "unknown" without one."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo") as mounts:
            for line in mounts:
                before, _, after = line.partition(" - ")
                if before.split()[2] == wanted:
                    return after.split()[0]
    except OSError:
        pass
    return "unknown"


def describe(path: str, engine: str, reason: str, medium: str, sync: str, sync_interval: float) -> Durability:
    """The Durability of an open pool at `path`; medium: "disk", "persistent memory", "said to be ..."."""
    kind = file_system_of(path)
    warnings = []
    power_loss = POWER_LOSS["commit" if engine == "direct" else sync].format(interval=sync_interval)
    if engine == "direct" and medium == "disk":
        warnings.append(
            "each change waits for the disk several times; the journal engine is much faster here"
        )
    if medium.startswith("said"):
        power_loss = "nothing is promised: the file is not on persistent memory"
        warnings.append("PMEM_IS_PMEM_FORCE=1 says that every file is on persistent memory; it is for tests")
    if kind in VOLATILE:
        power_loss = "everything is lost: this file system is kept in memory"
        warnings.append(f"{kind} does not survive a reboot")
    elif kind.partition(".")[0] in REMOTE:
        warnings.append(
            f"{kind} is a network or user-space file system, whose locks and syncs cannot be relied on"
        )
    return Durability(
        engine=engine,
        reason=reason,
        sync=sync,
        sync_interval=sync_interval,
        file_system=kind,
        program_killed="nothing that was committed is lost",
        power_loss=power_loss,
        warnings=tuple(warnings),
    )


def describe_snapshot(path: str) -> Durability:
    """The Durability of a pool that is open for reading: nothing is written."""
    return Durability(
        engine="snapshot",
        reason='flag="r" was asked for',
        sync="none",
        sync_interval=0.0,
        file_system=file_system_of(path),
        program_killed="nothing: a snapshot is not written to",
        power_loss="what the program that writes says; a snapshot may show what is not synced yet",
    )
