"""Writes a zip file that keeps permissions and is the same for the same input. Usage: zip.py OUTPUT PATH"""

import pathlib
import sys
import zipfile

EPOCH = (1980, 1, 1, 0, 0, 0)

output, root = map(pathlib.Path, sys.argv[1:])
files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
    for file in files:
        entry = zipfile.ZipInfo(file.relative_to(root.parent).as_posix(), EPOCH)
        # On Windows the file system keeps no permissions, so the Unix mode is set for what is executable there.
        mode = 0o755 if file.suffix == ".exe" else file.stat().st_mode & 0o777
        entry.external_attr = (0o100000 | mode) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, file.read_bytes())
