"""Holds what hashsweep reads of other people's disk images against dissect and The Sleuth Kit.

A reader here yields the path and the SHA-1 of every file of a volume. What both sides give must be equal, file by
file, and what hashsweep leaves out it must have said.
"""

import csv
import hashlib
import io
import pathlib
import subprocess
import sys

HASHSWEEP, WORK = sys.argv[1], pathlib.Path(sys.argv[2])


def sha1(stream):
    return hashlib.file_digest(stream, "sha1").hexdigest()


def by_dissect_ntfs(image):
    from dissect.ntfs.c_ntfs import ATTRIBUTE_TYPE_CODE
    from dissect.ntfs.ntfs import NTFS

    with image.open("rb") as disk:
        for record in NTFS(disk).mft.segments():
            in_use = record.header.Flags & 1
            if record.segment < 24 or not in_use or record.header.BaseFileRecordSegment.SegmentNumberLowPart:
                continue
            names = {attribute.name for attribute in record.attributes[ATTRIBUTE_TYPE_CODE.DATA]}
            # A file whose content is in named streams only is an empty one besides, as Windows shows it.
            has_none = "" not in names and not record.is_dir()
            for path in record.full_paths(ignore_dos=True):
                if has_none and not path.startswith("$Extend\\"):
                    yield path.replace("\\", "/"), hashlib.sha1(b"").hexdigest()
                for name in names:
                    # What the file system keeps there for itself.
                    if name in ("$Config", "$T", "$J", "$Max") and path.startswith("$Extend\\"):
                        continue
                    yield path.replace("\\", "/") + (f":{name}" if name else ""), sha1(record.open(name))


def by_dissect_xfs(image):
    import stat

    from dissect.xfs.xfs import XFS

    def below(directory, path):
        for name, inode in directory.listdir().items():
            if name in (".", ".."):
                continue
            here = f"{path}{name}"
            if stat.S_ISDIR(inode.inode.di_mode):
                yield from below(inode, here + "/")
            elif stat.S_ISREG(inode.inode.di_mode):
                yield here, sha1(inode.open())

    with image.open("rb") as disk:
        yield from below(XFS(disk).root, "")


def by_sleuth_kit(image):
    listed = subprocess.run(["fls", "-r", "-p", "-F", "-u", image], check=True, capture_output=True, text=True).stdout
    for line in listed.splitlines():
        kind, rest = line.split(maxsplit=1)
        inode, path = rest.split(":\t", 1)
        if kind == "r/r" and not path.startswith("$") and not path.endswith("(Volume Label Entry)"):
            content = subprocess.run(["icat", image, inode], check=True, capture_output=True).stdout
            yield path, sha1(io.BytesIO(content))


def by_hashsweep(image):
    """The rows of an image and what was said of it."""
    run = subprocess.run(
        [HASHSWEEP, "hash", "--image", "--hash", "sha1", "--format", "csv", image],
        capture_output=True, text=True, check=False, timeout=120,
    )
    rows = [(row["path"].removeprefix(f"{image}:/p0/"), row["sha1"]) for row in csv.DictReader(io.StringIO(run.stdout))]
    return rows, run.stderr, run.returncode


def is_read(image, reader, remarks=(), unread=()):
    """Every file but `unread` is as the other reads it; the run is complete but for `remarks`, which are all made."""
    ours, said, code = by_hashsweep(image)
    theirs = sorted(row for row in reader(image) if row[0] not in unread)
    assert theirs, f"{image}: the other reads nothing"
    assert sorted(ours) == theirs, f"{image}: {sorted(set(ours) ^ set(theirs))}"
    assert code == (3 if remarks else 0), f"{image}: exit code {code}: {said}"
    for remark in remarks:
        assert remark in said, f"{image}: {remark!r} is not said: {said}"
    print(f"{image.name}: {len(ours)} files as {reader.__name__.removeprefix('by_')} reads them")


def is_refused(image, remark):
    ours, said, code = by_hashsweep(image)
    assert (ours, code) == ([], 3) and remark in said, f"{image}: {code} {ours} {said}"
    print(f"{image.name}: refused, {remark!r}")


ntfs, fat, xfs, apfs = (WORK / name for name in (
    "dissect_ntfs-3.16/tests/_data", "dissect_fat-3.13/tests/data", "dissect_xfs-3.13/tests/_data",
    "dissect_apfs-1.1/tests/_data",
))
crates = WORK / "crates/vendor"
# The tail of a fixed VHD without its first 64 KiB, so that the volume comes first.
is_read(ntfs / "ntfs.bin", by_dissect_ntfs, ["shorter than its disk"])
is_read(ntfs / "ntfs-cloud.bin", by_dissect_ntfs, ["70 of 70 bytes are in the cloud"],
        ["OneDrive/created-online.txt"])
is_read(crates / "ntfs/testdata/testfs1", by_dissect_ntfs)
for name in ("fat12", "fat16", "fat32", "exfat", "exfat4m"):
    is_read(fat / f"{name}.bin", by_sleuth_kit)
for name in ("xfs", "xfs_bigtime", "xfs_sparse", "xfs_symlink_test"):
    is_read(xfs / f"{name}.bin", by_dissect_xfs)
is_read(xfs / "xfs_symlink_long.bin", by_dissect_xfs, ["the log holds changes"])
for image in sorted(apfs.glob("*.bin")):
    is_refused(image, "a volume of the kind APFS")
is_refused(ntfs / "mft.bin", "a volume of no known kind")
is_refused(ntfs / "boot_2m.bin", "damaged")
for name in ("hfs_plus_volume", "hfs_plus_nested"):
    is_refused(crates / f"hfsplus-forensic/tests/data/{name}.bin", "a volume of the kind HFS")
