"""The kernelspec as it lies on the disk."""

import os
import stat

from labkit.session import kernelspec


def test_what_one_user_installs_others_may_read(tmp_path):
    before = os.umask(0o022)
    try:
        folder = kernelspec.install(prefix=str(tmp_path))
    finally:
        os.umask(before)
    for path, others in ((folder, 0o055), *((file, 0o044) for file in folder.iterdir())):
        assert stat.S_IMODE(path.stat().st_mode) & others == others, path
