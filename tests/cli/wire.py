"""What a listener learns of a run between two sites: wire.py FOLDER WORD...

FOLDER holds what between.py kept of it, CONNECTION.WAY each. Prints the records of all connections, type and length, for
comparing. Ends with 1 if a WORD is to be seen, in any case of letters, or as the bytes that it says in hexadecimal; or if a
connection names a server (SNI), does not offer and take TLS 1.3 alone, prefers another cipher, or takes up a session."""

import os
import struct
import sys

HANDSHAKE, AES_128_GCM, NAME_OF_A_SERVER, EARLY_DATA, VERSIONS, SESSION = 22, 0x1301, 0, 42, 43, 41


def records(data):
    at = 0
    while at < len(data):
        kind, _, length = struct.unpack_from(">BHH", data, at)
        if at + 5 + length > len(data):
            raise ValueError("a record that does not end")
        yield kind, length, data[at + 5:at + 5 + length]
        at += 5 + length


def extensions(data, at):
    end = at + 2 + struct.unpack_from(">H", data, at)[0]
    at += 2
    while at < end:
        kind, length = struct.unpack_from(">HH", data, at)
        yield kind, data[at + 4:at + 4 + length]
        at += 4 + length


def hello(data):
    """Ciphers and extensions of a ClientHello or a ServerHello."""
    at = 4 + 2 + 32
    at += 1 + data[at]
    if data[0] == 2:
        return [struct.unpack_from(">H", data, at)[0]], dict(extensions(data, at + 3))
    length = struct.unpack_from(">H", data, at)[0]
    ciphers = [c for (c,) in struct.iter_unpack(">H", data[at + 2:at + 2 + length])]
    at += 2 + length
    return ciphers, dict(extensions(data, at + 1 + data[at]))


def complaints(name, data):
    ciphers, found = hello(next(records(data))[2])
    if ciphers[0] != AES_128_GCM:
        yield "prefers another cipher"
    if found.get(VERSIONS) not in (b"\x02\x03\x04", b"\x03\x04"):
        yield f"speaks other versions than TLS 1.3: {found.get(VERSIONS)}"
    for kind, what in ((NAME_OF_A_SERVER, "names a server"), (EARLY_DATA, "sends data early"), (SESSION, "takes up a session")):
        if kind in found:
            yield what


def shown(word, data):
    """Short words come by chance in so many random bytes: they are looked for in what is not encrypted, or not at all."""
    if len(word) < 8:
        data = b"".join(body for kind, _, body in records(data) if kind == HANDSHAKE) if len(word) > 4 else b""
    hexadecimal = len(word) >= 16 and len(word) % 2 == 0 and not word.strip("0123456789abcdef")
    return word.lower().encode() in data.lower() or (hexadecimal and bytes.fromhex(word) in data)


def main():
    wrong = 0
    for name in sorted(os.listdir(sys.argv[1])):
        with open(os.path.join(sys.argv[1], name), "rb") as file:
            data = file.read()
        print(name, *(f"{kind}:{length}" for kind, length, _ in records(data)))
        said = list(complaints(name, data))
        said += [f"shows {word}" for word in sys.argv[2:] if shown(word, data)]
        for text in said:
            print(f"{name}: {text}", file=sys.stderr)
        wrong += len(said)
    sys.exit(wrong > 0)


main()
