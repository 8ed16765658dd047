# Files of others that hold what twain never writes, under right checksums: refused with file, place and cause; nothing of
# them moves the terminal's cursor. Results: lengths, outputs, transcripts, names. Keys: their index. Models: activation.
source "$SOURCE_DIR/tests/cli/cli.bash"

"$TWAIN" ledger --new ledger -q
"$TWAIN" import --shape 1x24x3x40 -o n -q
"$TWAIN" plan n --seq 7 --result pooled -q
"$TWAIN" share n -q
"$TWAIN" deal n -n 4 -q
"$TWAIN" encode n 'an input of words' 'b' -q
"$TWAIN" share n --input -q
expect_run 0 WARNING n --ledger ledger
mkdir good
cp n.* good

spoil() { # FILE STATEMENTS: f is the file, put(name, array) writes a dataset with its checksum
  "$python" - "$@" <<'PYTHON'
import hashlib
import sys
import h5py
import numpy as np
import checksum


def put(name, values):
    checksum.put(f[name], values)


def text(at, name, value):
    del at.attrs[name]
    at.attrs.create(name, np.bytes_(value))


def seal():
    "the digest of a key file's header and index (docs/formats.md)"
    words = ("format", "version", "role", "created", "software", "key_id", "model_id", "plan")
    lines = [(w, f.attrs[w].decode()) for w in words]
    lines += [(w, str(f.attrs[w])) for w in ("test", "count", "slot_bytes", "chunk_bytes", "index_count")]
    head = "".join(f"{a}={b}\n" for a, b in lines).encode()
    text(f, "header_digest", hashlib.blake2b(head + f["index"][()].tobytes(), digest_size=32).hexdigest().encode())


with h5py.File(sys.argv[1], "r+") as f:
    exec(sys.argv[2])
PYTHON
}

refused() { # CODE TEXT COMMAND...: and says nothing that a terminal would act on
  expect "$@"
  ! LC_ALL=C grep -q '[^[:print:][:space:]]' said || { cat -v said >&2; fail "control characters"; }
  [ "$(wc -l <said)" = 1 ] || { cat said >&2; fail "more than a line"; }
  cp good/n.* .
}

results() { # both files alike, as a dishonest pair of parties would send them
  local party
  for party in 0 1; do spoil n.result.p$party.h5 "$1"; done
}
for lengths in '[0, -5]' '[-5, -5]' '[3, 0]' '[2000000, 1]'; do
  results "put('lengths', np.array($lengths, np.int32))"
  refused 4 'n.result.p0.h5: dataset lengths: sequence [01] has' "$TWAIN" reveal n
done
results "text(f, 'output', b'sum')"
refused 4 'n.result.p0.h5: attribute output' "$TWAIN" reveal n
results "text(f, 'output', b'tokens')" # one row, and more tokens
refused 4 'n.result.p0.h5: dataset lengths' "$TWAIN" reveal n
results "text(f, 'transcript', b'x' * 64)"
refused 4 'n.result.p0.h5: attribute transcript: not 64 hexadecimal digits' "$TWAIN" reveal n
results "a = f['costs'][()]; a['step'][0] = b'\x1b[31mEVIL\x1b[0m\nfake'; put('costs', a)"
refused 4 'n.result.p0.h5: dataset costs: row 0' "$TWAIN" report n
for field in host user cpu job placement transport_why; do
  results "text(f['environment'], '$field', b'h\x1b]0;pwn\x07\nparty 1 on good')"
  refused 4 "n.result.p0.h5: attribute $field: holds control characters" "$TWAIN" report n
done
results "text(f['environment'], 'host', b'h\xff\xfe')"
refused 4 'n.result.p0.h5: attribute host' "$TWAIN" report n --json
expect 0 'party 0 on' "$TWAIN" report n

# the index of keys: what no gate would find where it reads
for change in "a['kind'][3] ^= 1" "a['width'][0] += 1" "a['use'][5] += 100" "a['count'][2] -= 1" \
  "a['reserved'][1] = 7" "a['offset'][4] += 64"; do
  spoil n.keys.p1.h5 "a = f['index'][()]; $change; put('index', a); seal()"
  expect_run 5 'index: entry [0-9]+ is use' n --ledger ledger --force
  cp good/n.keys.p1.h5 .
done

spoil n.model.h5 "text(f, 'activation', b'relu6')"
refused 4 "n.model.h5: activation 'relu6'" "$TWAIN" share n --force
spoil n.model.h5 "text(f, 'model_name', b'a\x1b[2Jb')"
refused 4 'n.model.h5: attribute model_name: holds control characters' "$TWAIN" share n --force
expect 0 written "$TWAIN" reveal n

# a link in the place of a dataset or a group would have another file opened
mkfifo pipe
for link in "h5py.ExternalLink('$PWD/pipe', '/x')" "h5py.ExternalLink('good/n.result.p0.h5', '/lengths')" "h5py.SoftLink('/slots')"; do
  cp good/n.result.p?.h5 .
  "$python" -c "import h5py
with h5py.File('n.result.p0.h5', 'r+') as f:
    del f['lengths']
    f['lengths'] = $link"
  expect 4 'n.result.p0.h5: dataset lengths: is missing' "$TWAIN" report n
done
