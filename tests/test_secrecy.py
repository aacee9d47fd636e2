import os
import subprocess
import sys

REPORT = """
import atexit, ctypes, os, resource, sys
PR_GET_DUMPABLE = 3
def report():
    print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(PR_GET_DUMPABLE))
atexit.register(report)
sys.argv = ["edge-unlock", "--help"]
from edge_unlock.__main__ import main
main()
"""


def test_no_core_of_the_command_is_dumped():
    result = subprocess.run(
        ["sh", "-c", 'ulimit -S -c "$(ulimit -H -c)"; exec "$0" -c "$1"', sys.executable, REPORT],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines()[-1] == "0 0"
