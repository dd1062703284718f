"""Files made to hurt whoever reads them: small, deterministic, each by name; nothing of them lies in the repository."""

import gzip
import io
import json
import pickle
import zipfile

import numpy as np
import pyarrow as pa

from tests.hostile_parquet import Maker, as_parquet, crafted_parquet, kept

CSV = "".join(f"{n},{n * 0.37:.2f},{'abc'[n % 3]},{'xy'[n % 2]}\n" for n in range(40)).encode()
HEAD = b"n,f,c,y\n"
ARFF = (
    b"@relation r\n@attribute n numeric\n@attribute f real\n@attribute c {a,b,c}\n@attribute y {x,y}\n@data\n"
)
JSON = "".join(
    json.dumps({"n": n, "f": n / 7, "c": "abc"[n % 3], "y": "xy"[n % 2]}) + "\n" for n in range(40)
).encode()
SPARSE = ARFF + b"".join(b"{0 %d, 3 %c}\n" % (n, b"xy"[n % 2]) for n in range(40))


def crafted() -> dict[str, Maker]:
    """All files by name, each made when it is called for."""
    return {**_text(), **_arff(), **_json(), **_compressed(), **_binary(), **crafted_parquet()}


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def _text() -> dict[str, Maker]:
    whole = HEAD + CSV
    made = {
        "csv/empty": b"",
        "csv/newlines": b"\n" * 100_000,
        "csv/blanks": b" \t\r\n" * 10_000,
        "csv/header only": HEAD,
        "csv/one byte": b"x",
        "csv/one line of 1 MB": b"x" * (1 << 20),
        "csv/one line of 5 MB": b"x" * (5 << 20),
        "csv/20 MB of commas": b"," * 20_000_000,
        "csv/line of 20 MB of commas below": whole + b"," * 20_000_000,
        "csv/5 MB of quotes": b'"' * (5 << 20),
        "csv/5 MB of odd quotes": b"a,b\n1," + b'"' * ((5 << 20) + 1),
        "csv/quotes and commas": b'a,b\n1,"' + b'",",' * 100_000,
        "csv/open quote in the header": b'a,"b\n' + CSV,
        "csv/open quote": whole + b'1,2,"a,x\n' + CSV,
        "csv/open quote after a literal one": whole + b'1,2,5",x\n1,2,3,"y\n' + CSV,
        "csv/long open quote": whole + b'1,2,"' + b"a\n" * 500_000,
        "csv/quote in quote": whole + b'1,2,"a"b"c",x\n',
        "csv/10,000 columns": b",".join(b"c%d" % n for n in range(10_000)) + b"\n" + b"1," * 9_999 + b"1\n",
        "csv/10,001 columns": b",".join(b"c%d" % n for n in range(10_001)) + b"\n" + b"1," * 10_000 + b"1\n",
        "csv/10,000 equal names": b",".join([b"a"] * 10_000) + b"\n" + (b"1," * 9_999 + b"1\n") * 3,
        "csv/10,000 numbered equal names": b",".join([b"a", *(b"a.%d" % n for n in range(5_000))] * 2) + b"\n",
        "csv/ragged short": whole + b"1,2\n",
        "csv/ragged long": whole + b"1,2,a,x,y\n",
        "csv/ragged last without newline": whole + b"1",
        "csv/NUL": whole + b"1,2,\x00,x\n",
        "csv/NUL in the header": b"n\x00," + CSV,
        "csv/NULs": bytes(100_000),
        "csv/control": whole + b"1,2,\x1b[2J,x\n",
        "csv/lone continuation": whole + b"1,2,\x80\x80,x\n",
        "csv/surrogates in UTF-8": whole + b"1,2,\xed\xa0\x80,x\n",
        "csv/overlong UTF-8": whole + b"1,2,\xc0\xaf,x\n",
        "csv/UTF-8 cut": whole + b"1,2,a,\xe4\xbd",
        "csv/not cp1252": whole + b"1,2,\x81\x8d,x\n",
        "csv/two marks": b"\xef\xbb\xbf" * 2 + whole,
        "csv/mark within": whole + b"\xef\xbb\xbf1,2,a,x\n",
        "csv/UTF-16 mark on UTF-8": b"\xff\xfe" + whole,
        "csv/UTF-16 odd length": (HEAD + CSV).decode().encode("utf-16") + b"\n",
        "csv/UTF-16 lone surrogate": "a,b\n1,2\n".encode("utf-16") + b"\x00\xd8",
        "csv/UTF-16 big": whole.decode().encode("utf-16-be"),
        "csv/UTF-16 two marks": b"\xff\xfe" + whole.decode().encode("utf-16"),
        "csv/UTF-32": whole.decode().encode("utf-32"),
        "csv/UTF-7": "a,ü\n1,2\n".encode("utf-7"),
        "csv/EBCDIC": whole.decode().encode("cp500"),
        "csv/huge integer": whole + b"9" * 50_000 + b",2,a,x\n",
        "csv/huge integer in all rows": HEAD + b"".join(b"9" * 400 + b",1,a,%c\n" % b"xy"[n % 2] for n in range(40)),
        "csv/1e999": whole + b"1e999,-1e999,a,x\n",
        "csv/1e-999": whole + b"1e-999,-0,a,x\n",
        "csv/exponents": HEAD + b"".join(b"1e%d,1e-%d,a,%c\n" % (n * 9, n * 9, b"xy"[n % 2]) for n in range(40)),
        "csv/infinities": HEAD + b"inf,-inf,nan,x\nInfinity,-Infinity,NaN,y\n" * 20,
        "csv/hexadecimal": HEAD + b"".join(b"0x%x,1,a,%c\n" % (n, b"xy"[n % 2]) for n in range(40)),
        "csv/leading zeros": HEAD + b"".join(b"%05d,0%d,a,%c\n" % (n, n, b"xy"[n % 2]) for n in range(40)),
        "csv/dates of no calendar": HEAD + b"0000-00-00,9999-12-31,2020-02-30,x\n1000-01-01,0001-01-01,a,y\n" * 20,
        "csv/far dates": HEAD + b"9999-12-31,0001-01-01,1677-01-01,x\n2020-01-01,0002-01-01,2300-01-01,y\n" * 20,
        "csv/far times": HEAD + b"9999-12-31 23:59:59.999999999,1,a,x\n0001-01-01 00:00:00,1,a,y\n" * 20,
        "csv/times": HEAD + b"23:59:60,24:00:00,00:00:00,x\n12:00:00,12:00:00,12:00:00,y\n" * 20,
        "csv/thousands": HEAD + b'"1,234","1,234,567.8",a,x\n"9,999","12",b,y\n' * 20,
        "csv/many groups": HEAD + b'"1' + b",000" * 20_000 + b'",1,a,x\n',
        "csv/decimal commas without end": b"a;y\n" + b"1," * 40_000 + b"5;x\n",
        "csv/points without end": b"a;y\n" + b"1." * 40_000 + b"5;x\n2,5;y\n",
        "csv/all missing": HEAD + b",,,\n" * 40,
        "csv/all missing but target": HEAD + b",NA,?,x\n,null,,y\n" * 20,
        "csv/only carriage returns": whole.replace(b"\n", b"\r"),
        "csv/mixed line ends": whole.replace(b"\n", b"\r\n", 7).replace(b"9\n", b"9\r"),
        "csv/reversed line ends": whole.replace(b"\n", b"\n\r"),
        "csv/5 MB of carriage returns": HEAD + b"\r" * (5 << 20),
        "csv/comments": b"#\n" * 100_000,
        "csv/comments, then a table": b"# a, b\n" * 1_000 + whole,
        "csv/sep lines": b"sep=;\nsep=,\n" + whole,
        "csv/sep of nothing": b"sep=\n" + whole,
        "csv/all delimiters": b"a,b;c\td|e\n" * 40,
        "csv/no delimiter": b"y\n" + b"x\nz\n" * 20,
        "csv/cell of 1 MB": whole + b"1,2," + b"a" * (1 << 20) + b",x\n",
        "csv/names of 1 MB": b"a" * 999_999 + b"," + whole,
        "csv/names with lines": b'"a\n\nb","c\r\rd",y\n1,2,x\n',
        "csv/formulas": HEAD + b"=1+1,@SUM(A1),+cmd|'/C calc'!A0,x\n=2,-2,b,y\n" * 20,
        "csv/format strings": b"%s%n,{0.__class__},${jndi:x},y\n" + b"1,2,3,x\n4,5,6,y\n" * 20,
        "csv/right to left": "\u202ea,b\u202c,\u0000y\n".replace("\0", "\u2066").encode() + b"1,2,x\n3,4,y\n" * 20,
        "csv/emoji": "👩‍👩‍👧,🏳️‍🌈,y\n".encode() + b"1,2,x\n3,4,y\n" * 20,
        "csv/composed names": "é,é,y\n".encode() + b"1,2,x\n3,4,y\n" * 20,
        "csv/line separators": HEAD + "1,2,a\u2028b\u0085c\x0b,x\n".replace("\x0b", "").encode() * 40,
        "csv/form feeds": HEAD + b"\x0c" + CSV,
    }  # fmt: skip
    return kept(made)


def _arff() -> dict[str, Maker]:
    nominal = b"@attribute x {%s\n@data\na\n"
    many = b"".join(b"@attribute x%d numeric\n" % n for n in range(10_000))
    made = {
        "arff/header only": ARFF,
        "arff/no data": ARFF[:-7],
        "arff/no attributes": b"@relation r\n@data\n1\n",
        "arff/relation only": b"@relation",
        "arff/open nominal": nominal % (b"a," * 50_000),
        "arff/nominal without commas": nominal % (b"a " * 50_000),
        "arff/nominal of quotes": nominal % (b"'" * 50_001),
        "arff/nominal of escaped quotes": nominal % (b"'" + b"\\'" * 50_000),
        "arff/nominal of backslashes": nominal % (b"'" + b"\\" * 100_001),
        "arff/nominal of blanks": nominal % (b" " * 500_000),
        "arff/nominal of braces": nominal % (b"{" * 100_000 + b"}" * 100_000),
        "arff/nominal of quoted blanks": nominal % (b"' '," * 50_000 + b"'}"),
        "arff/the 50 bytes that cost others seconds": nominal % (b"a, a, a, a, a, a, a, a, a, a, a, a, a, 'b"),
        "arff/same with double quotes": nominal % (b'"a", "a", "a", "a", "a", "a", "a", "a", "a", "b'),
        "arff/name of quotes": b"@attribute '" + b"\\'" * 100_000 + b" numeric\n@data\n1\n",
        "arff/name of blanks": b"@attribute" + b" " * 500_000 + b"\n@data\n1\n",
        "arff/200,000 nominal values": nominal % (b",".join(b"v%d" % n for n in range(200_000)) + b"}"),
        "arff/header line of 5 MB": b"@attribute x {" + b"a," * (5 << 19) + b"b}\n@data\na\n",
        "arff/relational": b"@attribute x relational\n@attribute y real\n@end x\n@data\n'1',2\n",
        "arff/unknown type": b"@attribute x complex\n@data\n1\n",
        "arff/weights": b"@attribute x real {0.5}\n@data\n1,{0.5}\n",
        "arff/date of any letters": b"@attribute x date 'GyMwWDdFEaHkKhmsSzZ'\n@data\n1\n",
        "arff/date of percents": b"@attribute x date '%Y%%yyyy'\n@data\n%Y%2020\n",
        "arff/date of repeated parts": b"@attribute x date 'yyyyyyyy yyyy yyyy'\n@data\n2020 2020\n",
        "arff/date of twice the year": b"@attribute x date 'yyyy yyyy'\n@data\n2020 2021\n",
        "arff/date 0000": b"@attribute x date\n@data\n0000-00-00T00:00:00\n",
        "arff/empty nominal": b"@attribute x {}\n@attribute y {x,y}\n@data\n,x\n?,y\n" + b"?,x\n" * 30,
        "arff/nominal twice": b"@attribute x {a,a,'a'}\n@attribute y {x,y}\n@data\n" + b"a,x\na,y\n" * 20,
        "arff/sparse, empty nominal": b"@attribute x {}\n@attribute y {x,y}\n@data\n" + b"{}\n{1 y}\n" * 20,
        "arff/sparse": SPARSE,
        "arff/sparse bomb": many + b"@data\n" + b"{}\n" * 1_000_000,
        "arff/sparse just allowed": many + b"@data\n" + b"{}\n" * 400,
        "arff/sparse negative": ARFF + b"{-1 5}\n",
        "arff/sparse huge index": ARFF + b"{" + b"9" * 100_000 + b" 5}\n",
        "arff/sparse of other digits": ARFF + "{٣ x}\n".encode(),
        "arff/sparse of commas": ARFF + b"{" + b"," * 500_000 + b"}\n",
        "arff/sparse of blanks": ARFF + b"{" + b" " * 500_000 + b"\n",
        "arff/sparse of braces": ARFF + b"{" * 500_000,
        "arff/sparse, then dense": SPARSE + b"1,2,a,x\n",
        "arff/dense, then sparse": ARFF + b"1,2,a,x\n{}\n",
        "arff/open quote": ARFF + b"1,2,'a" + b"\\" * 100_000 + b",x\n",
        "arff/quotes": ARFF + b"'" * 200_000 + b"\n",
        "arff/row of commas": ARFF + b"," * 5_000_000 + b"\n",
        "arff/row of blanks": ARFF + b"1" + b" " * 1_000_000 + b"2\n",
        "arff/infinities": ARFF + b"inf,nan,a,x\n-inf,1e999,b,y\n" * 20,
        "arff/undeclared": ARFF + b"1,2,z,x\n",
        "arff/no number": ARFF + b"1,two,a,x\n",
        "arff/NUL": ARFF + b"1,2,\x00,x\n",
        "arff/UTF-16": (ARFF + CSV).decode().encode("utf-16"),
        "arff/10,001 attributes": many + b"@attribute x numeric\n@data\n",
        "arff/percents": b"%\n" * 500_000 + ARFF + CSV,
        "arff/equal names": b"@attribute y {x,y}\n" * 3 + b"@data\n" + b"x,y,x\ny,x,x\n" * 20,
    }  # fmt: skip
    return kept(made)


def _json() -> dict[str, Maker]:
    deep = 200_000
    made = {
        "json/deep lists": b'{"a": ' + b"[" * deep + b"]" * deep + b"}\n",
        "json/deep objects": b'{"a":' * deep + b"1" + b"}" * deep + b"\n",
        "json/open deep objects": b'{"a":' * deep,
        "json/deep after a row": JSON + b'{"n": ' + b"[" * deep + b"\n",
        "json/array": b"[" + JSON.replace(b"\n", b",")[:-1] + b"]",
        "json/array of arrays": b"[[1, 2], [3, 4]]",
        "json/concatenated": JSON.replace(b"\n", b""),
        "json/one object over lines": b'{\n"a": 1\n}\n',
        "json/equal keys": b'{"a": 1, "a": 2}\n',
        "json/equal keys, escaped": b'{"a": 1, "\\u0061": 2}\n',
        "json/lone surrogate": JSON + b'{"c": "\\ud800"}\n',
        "json/lone surrogate in a key": b'{"\\uDFFF": 1}\n',
        "json/escaped NUL": JSON + b'{"c": "\\u0000"}\n',
        "json/escaped NUL in a key": b'{"\\u0000": 1, "y": 2}\n' * 40,
        "json/huge integer": JSON + b'{"n": ' + b"9" * 100_000 + b"}\n",
        "json/1e999": JSON + b'{"n": 1e999}\n{"n": -1e999}\n',
        "json/long exponent": JSON + b'{"n": 1e' + b"9" * 100_000 + b"}\n",
        "json/long fraction": JSON + b'{"n": 0.' + b"1" * 1_000_000 + b"}\n",
        "json/constants": JSON + b'{"n": NaN}\n{"n": -Infinity}\n',
        "json/mixed": JSON + b'{"n": "one"}\n',
        "json/mixed truth": JSON + b'{"n": true}\n',
        "json/nested": JSON + b'{"n": [1]}\n',
        "json/scalar": JSON + b"1\n",
        "json/null": JSON + b"null\n",
        "json/empty objects": b"{}\n" * 1_000,
        "json/empty key": b'{"": 1, "y": 2}\n{"": 2, "y": 3}\n' * 20,
        "json/keys of blanks": b'{" a": 1, "a": 1, "a ": 2}\n' * 40,
        "json/10,001 keys": json.dumps({f"k{n}": n for n in range(10_001)}).encode() + b"\n",
        "json/a new key in every line": b"".join(b'{"k%d": 1}\n' % n for n in range(20_000)),
        "json/9,000 keys, then 3,000 short lines": json.dumps(dict.fromkeys(map(str, range(9_000)), 1)).encode() + b"\n" + b"{}\n" * 3_000,
        "json/string of 5 MB": b'{"a": "' + b"x" * (5 << 20) + b'"}\n',
        "json/open string": JSON + b'{"c": "' + b"\\" * 100_001 + b"\n",
        "json/cut": JSON[:-10],
        "json/comma at the end": b'{"a": 1,}\n',
        "json/single quotes": b"{'a': 1}\n",
        "json/mark": b"\xef\xbb\xbf" + JSON,
        "json/UTF-16": JSON.decode().encode("utf-16"),
        "json/all null": b'{"a": null, "y": null}\n' * 40,
    }  # fmt: skip
    return kept(made)


def _compressed() -> dict[str, Maker]:
    whole = HEAD + CSV
    packed, framed = gzip.compress(whole, mtime=0), zstd(whole)
    made: dict[str, Maker] = {
        "zstd/bomb": lambda: zstd(b"a,b\n" + b"1,2\n" * 25_000_000),
        "zstd/bomb of zeros": lambda: zstd(bytes(200_000_000)),
        "zstd/bomb in frames": lambda: zstd(b"1,2\n" * 250_000) * 200,
        "gzip/bomb": lambda: gzip.compress(b"1,2\n" * 10_000_000, mtime=0),
        "gzip/bomb in members": lambda: gzip.compress(b"1,2\n" * 250_000, mtime=0) * 100,
        "gzip/25,000 empty members": lambda: gzip.compress(b"", mtime=0) * 25_000,
        "gzip/20,000 zeros behind": lambda: packed + bytes(20_000),
        "zstd/100,000 empty frames": lambda: zstd(b"") * 100_000,
        "zstd/skippable frames": lambda: framed + b"\x50\x2a\x4d\x18\x04\0\0\0abcd" * 10_000,
        "zstd/skippable frame that lies": lambda: framed + b"\x50\x2a\x4d\x18\xff\xff\xff\xffabcd",
        "zstd/largest window": lambda: b"\x28\xb5\x2f\xfd\x00\xff" + framed[6:],
        "zstd/size that lies": lambda: b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + framed[6:],
    }
    mixed = {
        "gzip/of gzip": gzip.compress(packed, mtime=0),
        "gzip/of zstd": gzip.compress(framed, mtime=0),
        "zstd/of zstd": zstd(framed),
        "zstd/of gzip": zstd(packed),
        "gzip/of nothing": gzip.compress(b"", mtime=0),
        "zstd/of nothing": zstd(b""),
        "gzip/mark only": packed[:2],
        "zstd/mark only": framed[:4],
        "gzip/zstd behind": packed + framed,
        "zstd/gzip behind": framed + packed,
        "gzip/wrong sum": packed[:-8] + bytes(8),
        "gzip/long name": packed[:3] + b"\x08" + packed[4:10] + b"n" * 100_000 + b"\0" + packed[10:],
        "gzip/of Parquet": gzip.compress(as_parquet(), mtime=0),
        "zstd/of ARFF": zstd(ARFF + CSV),
        "gzip/of pickle": gzip.compress(pickle.dumps([1]), mtime=0),
    }
    cuts = {f"gzip/cut at {at}": packed[:at] for at in (3, 10, 11, len(packed) // 2, len(packed) - 1)}
    cuts |= {f"zstd/cut at {at}": framed[:at] for at in (5, 6, 9, len(framed) // 2, len(framed) - 1)}
    return {**made, **kept({**mixed, **cuts})}


def _binary() -> dict[str, Maker]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("xl/worksheets/sheet1.xml"), "<x/>")
    made = {
        "binary/xlsx": archive.getvalue(),
        "binary/zip mark": b"PK\x03\x04",
        "binary/xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512),
        "binary/HDF5": b"\x89HDF\r\n\x1a\n" + bytes(512),
        "binary/SQLite": b"SQLite format 3\x00" + bytes(512),
        **{f"binary/pickle {n}": pickle.dumps({"a": [1]}, n) for n in range(6)},
        "binary/pickle that calls": b"cos\nsystem\n(S'touch opened'\ntR.",
        "binary/program": b"\x7fELF" + bytes(512),
        "binary/PNG": b"\x89PNG\r\n\x1a\n" + bytes(99),
        "binary/PDF": b"%PDF-1.7\n%\xe2\xe3",
        "binary/bzip2": b"BZh91AY&SY" + bytes(99),
        "binary/xz": b"\xfd7zXZ\x00" + bytes(99),
        "binary/HTML": b"<html><table><tr><td>1</td></tr></table></html>",
        "binary/noise": np.random.default_rng(0).bytes(100_000),
        "binary/noise without NUL": np.random.default_rng(1).bytes(100_000).replace(b"\0", b"1"),
        "binary/Feather": b"ARROW1\0\0" + bytes(99),
        "binary/NumPy": b"\x93NUMPY\x01\0" + bytes(99),
    }
    return kept(made)
