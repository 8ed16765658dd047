# import and share are streams: of a model no more is in memory than three times its largest tensor, beside 64 MB and what
# the program takes to say its version (libraries for GPUs are large). The folder has shards of three types. Its model has
# 208 MB by default (1.2 GB of disk with what is made of it), 3 GB out of 2 GB of shards with TWAIN_STREAM_LAYERS=60
# TWAIN_STREAM_WORDS=30522.
source "$SOURCE_DIR/tests/cli/cli.bash"

layers=${TWAIN_STREAM_LAYERS:-4}
words=${TWAIN_STREAM_WORDS:-2000}
# in bytes of float32: the feed-forward matrices, or the table of words
largest=$((4 * 1024 * (words > 4096 ? words : 4096)))

start=$("$python" - "$TWAIN" <<'P'
import os, sys
child = os.posix_spawn(sys.argv[1], [sys.argv[1], "--version"], os.environ, file_actions=[(os.POSIX_SPAWN_CLOSE, 1)])
print(os.wait4(child, 0)[2].ru_maxrss * 1024)
P
)
spare=$((start + (64 << 20)))
most=$((3 * largest + spare))

peak() { # LIMIT COMMAND...: it succeeds within the limit. Its own peak: the parent of the measured process is small.
  "$python" - "$@" <<'P'
import os, sys
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
most, peak = int(sys.argv[1]), used.ru_maxrss * 1024
print(f"{' '.join(sys.argv[3:5])}: peak {peak / 2**20:.0f} MB, at most {most / 2**20:.0f} MB")
sys.exit(os.waitstatus_to_exitcode(status) or peak > most)
P
}

"$python" "$SOURCE_DIR/tests/cli/large_folder.py" make large "$layers" "$words"
echo "folder: $(du -sm large | cut -f1) MB"
peak "$most" "$TWAIN" import large -o n -q || fail "import"
size=$(stat -c %s n.model.h5)
[ "$size" -gt $((10 * largest)) ] || fail "a model of $size bytes shows nothing"
echo "model: $((size >> 20)) MB, largest tensor $((largest >> 20)) MB"
"$python" "$SOURCE_DIR/tests/cli/large_folder.py" compare large n || fail "the import differs from the folder"
rm -r large
peak "$most" "$TWAIN" share n -q || fail "share"
[ "$(stat -c %s n.model.p1.h5)" -gt $((2 * size - size / 10)) ] || fail "a share is too short"
rm n.*

# shapes come the same way; their table of words is the client's, in memory once
peak $((4 * 1024 * 30522 + spare)) "$TWAIN" import --shape "${layers}x1024x16x4096" -o s -q || fail "import of a shape"
[ "$(stat -c %s s.model.h5)" = "$size" ] || fail "the shape's model is of another size"
no_leftovers
