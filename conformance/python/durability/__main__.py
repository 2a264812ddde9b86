"""Runs the durability suite: `python -m durability [kill] [eio] [enospc] [rest]`."""

import sys

from harness import Suite, finish

from .disk import a_failed_sync_is_no_promise, a_full_disk_is_an_error
from .history import check_the_checker
from .kill import kill_minus_nine
from .rest import encrypted_records_are_not_on_disk

CASES = {"checker": check_the_checker, "kill": kill_minus_nine, "eio": a_failed_sync_is_no_promise,
         "enospc": a_full_disk_is_an_error, "rest": encrypted_records_are_not_on_disk}

if __name__ == "__main__":
    suite = Suite("durability", "JSON")
    for name in sys.argv[1:] or CASES:
        suite.add([], CASES[name].__doc__, CASES[name])
    finish([suite.run()])
