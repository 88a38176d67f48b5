"""What the Encoding Standard's tables say of every code of one, two or three bytes, as a hash for each encoding.

    git clone https://github.com/whatwg/encoding && python3 tests/golden/data/make_encodings.py encoding

Every code of an encoding stands on a line; the hash (SHA-256) is of the lines that come out, "-" where a code means nothing.
`differ` are the codes that iconv reads in another way (text_encoding.h says which), in ranges; they are "-" in the hash.
"""
import ctypes
import hashlib
import json
import pathlib
import sys

STANDARD, HERE = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
SINGLE = """ibm866 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-10 iso-8859-13 iso-8859-14
    iso-8859-15 iso-8859-16 koi8-r koi8-u macintosh windows-874 windows-1250 windows-1251 windows-1252 windows-1253 windows-1254
    windows-1255 windows-1256 windows-1257 windows-1258 x-mac-cyrillic""".split()
ICONV = {"gb18030": b"GB18030", "big5": b"BIG5-HKSCS", "euc-kr": b"UHC", "shift_jis": b"CP932", "euc-jp": b"EUC-JP-MS"}


def index(name):
    lines = (line.split("#")[0].split() for line in (STANDARD / f"index-{name}.txt").read_text().splitlines())
    return {int(words[0]): chr(int(words[1], 16)) for words in lines if len(words) >= 2}


def codes(encoding):
    """Every code the test tries, in its order."""
    if encoding in SINGLE:
        return [bytes([byte]) for byte in range(0x80, 0x100)]
    leads = range(0x81, 0xFF) if encoding != "shift_jis" else [*range(0x81, 0xA0), *range(0xE0, 0xFD)]
    pairs = [bytes([a, b]) for a in leads for b in [*range(0x40, 0x7F), *range(0x80, 0xFF)]]
    if encoding == "euc-jp":
        return pairs + [bytes([0x8F, a, b]) for a in range(0xA1, 0xFF) for b in range(0xA1, 0xFF)]
    return pairs + [bytes([byte]) for byte in range(0xA1, 0xE0)] if encoding == "shift_jis" else pairs


def gb18030(code, table):
    a, b = code
    return table.get((a - 0x81) * 190 + b - (0x40 if b < 0x7F else 0x41))


def big5(code, table):
    a, b = code
    if not (0x40 <= b <= 0x7E or 0xA1 <= b <= 0xFE):
        return None
    pointer = (a - 0x81) * 157 + b - (0x40 if b < 0x7F else 0x62)
    double = {1133: "\u00ca\u0304", 1135: "\u00ca\u030c", 1164: "\u00ea\u0304", 1166: "\u00ea\u030c"}
    return double.get(pointer) or table.get(pointer)


def euc_kr(code, table):
    a, b = code
    return table.get((a - 0x81) * 190 + b - 0x41) if b >= 0x41 else None


def shift_jis(code, table):
    if len(code) == 1:
        return chr(0xFF61 - 0xA1 + code[0])
    a, b = code
    if not (0x81 <= a <= 0x9F or 0xE0 <= a <= 0xFC) or not (0x40 <= b <= 0x7E or 0x80 <= b <= 0xFC):
        return None
    pointer = (a - (0x81 if a < 0xA0 else 0xC1)) * 188 + b - (0x40 if b < 0x7F else 0x41)
    return chr(0xE000 - 8836 + pointer) if 8836 <= pointer <= 10715 else table.get(pointer)


def euc_jp(code, table):
    if len(code) == 2 and code[0] == 0x8E:
        return chr(0xFF61 - 0xA1 + code[1]) if 0xA1 <= code[1] <= 0xDF else None
    a, b = code[-2:]
    return table[len(code)].get((a - 0xA1) * 94 + b - 0xA1) if a >= 0xA1 and b >= 0xA1 else None


def expected(encoding):
    if encoding in SINGLE:
        table = index(encoding)
        return {code: table.get(code[0] - 0x80) for code in codes(encoding)}
    if encoding == "euc-jp":
        table = {2: index("jis0208"), 3: index("jis0212")}
    else:
        table = index("jis0208" if encoding == "shift_jis" else encoding)
    read = {"gb18030": gb18030, "big5": big5, "euc-kr": euc_kr, "shift_jis": shift_jis, "euc-jp": euc_jp}[encoding]
    return {code: read(code, table) for code in codes(encoding)}


def by_iconv(charset, code):
    libc = ctypes.CDLL("libc.so.6")
    libc.iconv_open.restype = ctypes.c_void_p
    libc.iconv.restype = ctypes.c_ssize_t
    libc.iconv.argtypes, libc.iconv_close.argtypes = [ctypes.c_void_p] + [ctypes.c_void_p] * 4, [ctypes.c_void_p]
    handle = libc.iconv_open(b"UTF-8", charset)
    source, target = ctypes.create_string_buffer(code), ctypes.create_string_buffer(32)
    at, to = ctypes.c_void_p(ctypes.addressof(source)), ctypes.c_void_p(ctypes.addressof(target))
    left, room = ctypes.c_size_t(len(code)), ctypes.c_size_t(32)
    parts = [ctypes.byref(x) for x in (at, left, to, room)]
    whole = libc.iconv(handle, *parts) >= 0 and left.value == 0
    libc.iconv(handle, None, None, *parts[2:])
    libc.iconv_close(handle)
    return target.raw[:32 - room.value].decode() if whole else None


def ranges(numbers):
    out = []
    for number in sorted(numbers):
        if out and number == out[-1][1] + 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return [f"{a:x}-{b:x}" for a, b in out]


def main():
    golden = {}
    for encoding in SINGLE + list(ICONV):
        wanted = expected(encoding)
        differ = set()
        if encoding in ICONV:
            differ = {code for code, text in wanted.items() if by_iconv(ICONV[encoding], code) != text and code != b"\xA3\xA0"}
        lines = "".join(("-" if text is None or code in differ else text) + "\n" for code, text in wanted.items())
        golden[encoding] = {"sha256": hashlib.sha256(lines.encode()).hexdigest(),
                            "differ": ranges(int.from_bytes(code, "big") for code in differ)}
    (HERE / "encodings.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
