#!/usr/bin/env python3
"""The tests of src/parallel as one process, and as two and five ranks.

Usage: group.py PARALLEL_TEST
"""
import sys

from mpirun import check, need_mpirun, run

need_mpirun()
for ranks in (1, 2, 5):
    said, _ = run(ranks, [sys.argv[1]])
    check(said.count("[  PASSED  ]") == ranks, said)
    print(f"{ranks} ranks: passed")
