"""hardened.py PROGRAM [LIBRARY…]: reads from ELF files whether they were built with the protections of cmake/FettleHardening.cmake."""

import re
import struct
import sys

PT_LOAD, PT_DYNAMIC, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 0x6474E551, 0x6474E552
DT_STRTAB, DT_FLAGS, DT_FLAGS_1 = 5, 30, 0x6FFFFFFB
ET_DYN, EM_X86_64 = 3, 62
BIND_NOW, NOW, PIE = 0x8, 0x1, 0x08000000
SKIPPED = 77


def segments(data):
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    for at in range(offset, offset + size * count, size):
        kind, flags, place, address, _, length, memory, _ = struct.unpack_from("<IIQQQQQQ", data, at)
        yield kind, flags, place, address, length, memory


def dynamic(data, place, length):
    return dict(struct.unpack_from("<QQ", data, at) for at in range(place, place + length, 16))


def faults(path, is_program):
    data = open(path, "rb").read()
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 18)[0] != EM_X86_64:
        print(f"{path}: not an x86-64 ELF file, which is all that this test reads")
        sys.exit(SKIPPED)
    rows = list(segments(data))
    tags = {}
    for kind, _, place, _, length, _ in rows:
        if kind == PT_DYNAMIC:
            tags = dynamic(data, place, length)
    code = b"".join(data[place:place + length] for kind, flags, place, _, length, _ in rows if kind == PT_LOAD and flags & 1)
    names = b"".join(data[place:place + length] for kind, flags, place, _, length, _ in rows if kind == PT_LOAD and not flags & 3)
    checked = set(re.findall(rb"\0(__\w+_chk)(?=\0)", names))
    wanted = {
        "position independent (ET_DYN)": struct.unpack_from("<H", data, 16)[0] == ET_DYN,
        "marked as PIE": not is_program or bool(tags.get(DT_FLAGS_1, 0) & PIE),
        "read-only relocations (GNU_RELRO)": any(kind == PT_GNU_RELRO for kind, *_ in rows),
        "BIND_NOW": bool(tags.get(DT_FLAGS, 0) & BIND_NOW) and bool(tags.get(DT_FLAGS_1, 0) & NOW),
        "no executable stack": any(kind == PT_GNU_STACK and not flags & 1 for kind, flags, *_ in rows),
        "no segment both writable and executable": not any(kind == PT_LOAD and flags & 3 == 3 for kind, flags, *_ in rows),
        "stack protector (__stack_chk_fail)": b"\0__stack_chk_fail\0" in names,
        "checked library calls (_FORTIFY_SOURCE)": len(checked) >= 3,
        "checks of indices (_GLIBCXX_ASSERTIONS)": b"__glibcxx_assert_fail" in names,
        # `orq $0, (%rsp)` touches each page of a large frame; `endbr64` stands where indirect calls may land.
        "probes of large frames": code.count(b"\x48\x83\x0c\x24\x00") >= 10,
        "landing places of indirect calls": code.count(b"\xf3\x0f\x1e\xfa") >= 1000,
    }
    return [name for name, found in wanted.items() if not found]


def main():
    failed = False
    for index, path in enumerate(sys.argv[1:]):
        missing = faults(path, index == 0)
        failed |= bool(missing)
        print(f"{path}: " + ("missing: " + ", ".join(missing) if missing else "has all eleven protections"))
    return failed


sys.exit(main())
