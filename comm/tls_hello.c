#include "comm/tls_hello.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { VERSION = 1, MAC_BYTES = crypto_auth_hmacsha256_BYTES };
static const char label[] = "EXPORTER-twain hello";
static const char magic[16] = "twain two sites";

// As it goes over the wire; version stays where it is.
typedef union {
  struct {
    char magic[16];
    uint32_t version, party;
    tw_lines lines;
    int32_t found;  // a tw_status, with its message: the end that answers refuses
    char message[400];
    tw_token token[TW_MOST_CONNECTIONS];
  } says;
  uint8_t bytes[TW_HELLO_BYTES];  // the last ones: MAC
} hello_record;

typedef union {
  struct {
    char magic[16];
    uint32_t version, party, process, connection;
    tw_token run[2], token[2];  // of connection 0, and of this one
  } says;
  uint8_t bytes[TW_LINE_BYTES];
} line_record;

_Static_assert(sizeof(((hello_record *)0)->says) <= TW_HELLO_BYTES - MAC_BYTES &&
                   sizeof(((line_record *)0)->says) <= TW_LINE_BYTES - MAC_BYTES,
               "records hold their MAC");
_Static_assert(crypto_auth_hmacsha256_KEYBYTES == (int)TW_EXPORTER_BYTES, "the exporter is the MAC's key");

// ---- authentication

// Of what one end says on a connection, after what it has heard there (NULL: nothing yet).
static tw_status authenticate(tw_tls *t, bool by_answerer, const uint8_t *heard, const uint8_t *record, size_t bytes,
                              uint8_t mac[MAC_BYTES]) {
  uint8_t key[TW_EXPORTER_BYTES], who = by_answerer;
  crypto_auth_hmacsha256_state state;
  TW_TRY(tw_tls_exporter(t, label, key));
  crypto_auth_hmacsha256_init(&state, key, sizeof key);
  crypto_auth_hmacsha256_update(&state, &who, 1);
  if (heard) crypto_auth_hmacsha256_update(&state, heard, bytes);
  crypto_auth_hmacsha256_update(&state, record, bytes - MAC_BYTES);
  crypto_auth_hmacsha256_final(&state, mac);
  tw_wipe(key, sizeof key);
  tw_wipe(&state, sizeof state);
  return TW_OK;
}

static tw_status put(tw_tls *t, bool by_answerer, const uint8_t *heard, uint8_t *record, size_t bytes,
                     uint64_t until_ns) {
  TW_TRY(authenticate(t, by_answerer, heard, record, bytes, record + bytes - MAC_BYTES));
  return tw_tls_put(t, record, bytes, until_ns);
}

static tw_status check_mac(tw_tls *t, bool by_answerer, const uint8_t *said, const uint8_t *record, size_t bytes) {
  uint8_t mac[MAC_BYTES];
  TW_TRY(authenticate(t, by_answerer, said, record, bytes, mac));
  if (sodium_memcmp(mac, record + bytes - MAC_BYTES, MAC_BYTES) == 0) return TW_OK;
  return tw_fail(TW_ERR_IDENTITY, "a connection's first words do not belong to it: somebody in between");
}

// ---- connection 0

void tw_hello_begin(tw_hello *h, const tw_lines *lines, int party, bool answers) {
  *h = (tw_hello){.lines = *lines, .party = party, .answers = answers};
  randombytes_buf(h->token[answers], sizeof h->token[answers]);
}

static tw_status no_twain(const char *what) {
  return tw_fail(TW_ERR_IDENTITY, "what the other end says first no twain says (%s): it is another program", what);
}

static tw_status same(const char *what, uint32_t mine, uint32_t theirs, const char *remedy) {
  if (mine == theirs) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "the parties differ in %s: this one has %" PRIu32 ", the other %" PRIu32 "; %s", what,
                 mine, theirs, remedy);
}

static tw_status check_hello(const tw_hello *h, const hello_record *r) {
  if (memcmp(r->says.magic, magic, sizeof magic) != 0) return no_twain("its name");
  TW_TRY(same("version of the line between sites", VERSION, r->says.version, "run the same twain on both"));
  if (!tw_status_known(r->says.found) || !memchr(r->says.message, '\0', sizeof r->says.message))
    return no_twain("its status");
  if (r->says.found != TW_OK)
    return tw_fail((tw_status)r->says.found, "party %d stopped: %s", 1 - h->party, r->says.message);
  if (r->says.party != 1u - (uint32_t)h->party) return no_twain("its party");
  TW_TRY(same("number of streams", h->lines.streams, r->says.lines.streams, "give both the same --streams"));
  TW_TRY(same("number of processes", h->lines.processes, r->says.lines.processes, "start as many on both sides"));
  return same("process", h->lines.process, r->says.lines.process, "process i of one talks to process i of the other");
}

static void fill(const tw_hello *h, tw_status found, hello_record *r) {
  memset(r, 0, sizeof *r);
  memcpy(r->says.magic, magic, sizeof magic);
  r->says.version = VERSION;
  r->says.party = (uint32_t)h->party;
  r->says.lines = h->lines;
  r->says.found = (int32_t)found;
  if (found != TW_OK) snprintf(r->says.message, sizeof r->says.message, "%s", tw_error_message());
  if (found == TW_OK) memcpy(r->says.token, h->token[h->answers], sizeof r->says.token);
}

static tw_status ask(tw_hello *h, tw_tls *t, uint64_t until_ns, hello_record *mine, hello_record *theirs) {
  fill(h, TW_OK, mine);
  TW_TRY(put(t, false, NULL, mine->bytes, sizeof mine->bytes, until_ns));
  TW_TRY(tw_tls_get(t, theirs->bytes, sizeof theirs->bytes, until_ns));
  TW_TRY(check_mac(t, true, mine->bytes, theirs->bytes, sizeof theirs->bytes));
  return check_hello(h, theirs);
}

static tw_status answer(tw_hello *h, tw_tls *t, uint64_t until_ns, hello_record *mine, hello_record *theirs) {
  char message[sizeof mine->says.message];
  TW_TRY(tw_tls_get(t, theirs->bytes, sizeof theirs->bytes, until_ns));
  tw_status found = check_mac(t, false, NULL, theirs->bytes, sizeof theirs->bytes);
  if (found == TW_OK) found = check_hello(h, theirs);
  fill(h, found, mine);
  memcpy(message, mine->says.message, sizeof message);
  tw_status sent = put(t, true, theirs->bytes, mine->bytes, sizeof mine->bytes, until_ns);
  return found != TW_OK ? tw_fail(found, "%s", message) : sent;
}

tw_status tw_hello_meet(tw_hello *h, tw_tls *t, uint64_t until_ns) {
  hello_record mine, theirs;
  TW_TRY(h->answers ? answer(h, t, until_ns, &mine, &theirs) : ask(h, t, until_ns, &mine, &theirs));
  memcpy(h->token[!h->answers], theirs.says.token, sizeof theirs.says.token);
  return TW_OK;
}

// ---- the others

static void fill_line(const tw_hello *h, int k, int party, line_record *r) {
  memset(r, 0, sizeof *r);
  memcpy(r->says.magic, magic, sizeof magic);
  r->says.version = VERSION;
  r->says.party = (uint32_t)party;
  r->says.process = h->lines.process;
  r->says.connection = (uint32_t)k;
  for (int end = 0; end < 2; end++) {
    memcpy(r->says.run[end], h->token[end][0], TW_TOKEN_BYTES);
    memcpy(r->says.token[end], h->token[end][k], TW_TOKEN_BYTES);
  }
}

// What the other end must say is known to the last byte.
static tw_status expect(const tw_hello *h, int k, tw_tls *t, const uint8_t *said, uint64_t until_ns,
                        line_record *came) {
  line_record wanted;
  fill_line(h, k, 1 - h->party, &wanted);
  memset(came, 0, sizeof *came);
  TW_TRY(tw_tls_get(t, came->bytes, sizeof came->bytes, until_ns));
  TW_TRY(check_mac(t, !h->answers, said, came->bytes, sizeof came->bytes));
  if (sodium_memcmp(wanted.bytes, came->bytes, sizeof came->bytes - MAC_BYTES) == 0) return TW_OK;
  return tw_fail(TW_ERR_IDENTITY,
                 "connection %d does not belong to this run, or not there: somebody in between swaps connections, or "
                 "two runs of these sites dial one port",
                 k);
}

// The end that answers refuses with a connection that there is not, which the other end does not expect either.
static void turn_away(tw_tls *t, const line_record *theirs, line_record *mine, uint64_t until_ns) {
  char message[512];
  snprintf(message, sizeof message, "%s", tw_error_message());
  mine->says.connection = UINT32_MAX;
  (void)put(t, true, theirs->bytes, mine->bytes, sizeof mine->bytes, until_ns);
  (void)tw_fail(TW_ERR_IDENTITY, "%s", message);
}

tw_status tw_hello_line(const tw_hello *h, int k, tw_tls *t, uint64_t until_ns) {
  line_record mine, theirs;
  fill_line(h, k, h->party, &mine);
  if (!h->answers) TW_TRY(put(t, false, NULL, mine.bytes, sizeof mine.bytes, until_ns));
  tw_status status = expect(h, k, t, h->answers ? NULL : mine.bytes, until_ns, &theirs);
  if (status == TW_ERR_IDENTITY && h->answers) turn_away(t, &theirs, &mine, until_ns);
  TW_TRY(status);
  return h->answers ? put(t, true, theirs.bytes, mine.bytes, sizeof mine.bytes, until_ns) : TW_OK;
}
