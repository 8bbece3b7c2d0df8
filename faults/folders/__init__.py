"""Run folders as nobody wrote them: damaged or hostile, each is read, or refused in one sentence.

    python -m faults.folders --count 20000 --seed 0
    python -m faults.folders --seed 0 --only 17 --keep /tmp/folder    # that one again, and its folder

Good runs are copied, mutated and used as readers use them, in process. Allowed is success, or a UserError of one
printable sentence (from the command line: exit code 2 and that sentence). A finding is anything else: another
exception, a warning that is not ours, more than ten seconds, gigabytes, something written outside the run's folder,
anything executed or imported because a folder said so.
"""
