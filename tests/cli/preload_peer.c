// Loaded before a party's MPI (LD_PRELOAD): this party lies, or keeps the other one waiting. TWAIN_PEER_LIE says how,
// TWAIN_PEER_AT which message of that kind it is (from 0), TWAIN_PEER_VALUE what is said.
//   status      a greeting's status is VALUE, its text TWAIN_PEER_TEXT
//   version     a greeting's version is VALUE
//   terms       a greeting's plan is another one
//   words       a greeting's link has no end
//   cut         a greeting is VALUE bytes shorter
//   host        the name of its host has no end
//   hardware    the address of its GPU has no end, and its device is none
//   cores       its list of cores has no end
//   sequence    an opening's message has the next one's number
//   length      an opening's message is 8 bytes shorter
//   checksum    an opening's payload does not fit its checksum
//   values      an opening's payload is another one, under its checksum
//   transcript  the transcript is another one
//   rows        batches of VALUE rows at most: each is the first one again
//   drip        every message leaves VALUE milliseconds late
//   silent      the message, of any kind, never leaves
//   absent      the party never joins MPI (MPI_Init_thread)
//   noflock     (no lie) file systems know no flock, as on some clusters
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/opens_header.h"
#include "jobs/parties/handshake.h"

// jobs/parties/hardware.c: host; pci, device, nccl, transport; cores, failed, bind.
enum { TRANSCRIPT_BYTES = 65, HOST_BYTES = 256, HARDWARE_BYTES = 28, CORES_BYTES = 776 };

static const char *word(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

static bool lie(const char *kind) { return strcmp(word("TWAIN_PEER_LIE"), kind) == 0; }
static int value(void) { return atoi(word("TWAIN_PEER_VALUE")); }

static void for_ever(void) {
  for (;;) pause();
}

// Is this the message of its kind that is to be spoilt?
static bool its_turn(void) {
  static int seen;
  return seen++ == atoi(word("TWAIN_PEER_AT"));
}

static bool spoil_greeting(tw_greeting *g, int *bytes) {
  if (!lie("status") && !lie("version") && !lie("terms") && !lie("words") && !lie("cut")) return false;
  if (!its_turn()) return false;
  if (lie("status")) {
    g->found = value();
    snprintf(g->message, sizeof g->message, "%s", word("TWAIN_PEER_TEXT"));
  }
  if (lie("version")) g->version = (uint32_t)value();
  if (lie("terms")) g->terms.plan.hex[5] = g->terms.plan.hex[5] == 'a' ? 'b' : 'a';
  if (lie("words")) memset(g->terms.link, 'x', sizeof g->terms.link);
  if (lie("cut")) *bytes -= value();
  return true;
}

static bool spoil_openings(uint8_t *message, int *bytes) {
  tw_opens_header *h = (tw_opens_header *)(void *)message;
  if (!lie("sequence") && !lie("length") && !lie("checksum") && !lie("values")) return false;
  if (!its_turn()) return false;
  if (lie("sequence")) h->sequence++;
  if (lie("length")) *bytes -= 8;
  if (lie("checksum") || lie("values")) message[TW_OPENS_HEADER_BYTES] ^= 1;
  if (lie("values")) h->payload_crc = tw_opens_crc32c(message + TW_OPENS_HEADER_BYTES, h->payload_bytes);
  tw_opens_header_seal(h);
  return true;
}

// jobs/parties/batches.c: kind, count and left, token, what is missing; then rows and slots.
enum { TURN_BYTES = 208, TURN_RUNS = 1 };

static bool spoil_rows(uint8_t *message, int bytes) {
  static uint8_t first[TURN_BYTES + 12 * 64];
  static bool kept;
  int32_t kind;
  memcpy(&kind, message, sizeof kind);
  if (kind != TURN_RUNS || bytes > (int)sizeof first) return false;
  if (kept)
    memcpy(message, first, (size_t)bytes);
  else
    memcpy(first, message, (size_t)bytes);
  bool again = kept;
  kept = true;
  return again;
}

// A copy is sent, and stays.
static const void *spoil(const void *buffer, int *bytes) {
  uint8_t *copy = malloc((size_t)*bytes + 1);
  if (!copy) return buffer;
  memcpy(copy, buffer, (size_t)*bytes);
  bool spoilt = false;
  if (*bytes == sizeof(tw_greeting))
    spoilt = spoil_greeting((tw_greeting *)(void *)copy, bytes);
  else if (*bytes > TW_OPENS_HEADER_BYTES && memcmp(copy, "TWOP", 4) == 0)
    spoilt = spoil_openings(copy, bytes);
  else if (*bytes == TRANSCRIPT_BYTES && lie("transcript") && (spoilt = its_turn()))
    copy[9] = copy[9] == 'a' ? 'b' : 'a';
  else if (*bytes == HARDWARE_BYTES && lie("hardware") && (spoilt = its_turn()))
    memset(copy, 'x', HARDWARE_BYTES);
  else if (*bytes == HOST_BYTES && lie("host") && (spoilt = its_turn()))
    memset(copy, 'x', HOST_BYTES);
  else if (*bytes == CORES_BYTES && lie("cores") && (spoilt = its_turn()))
    memset(copy, 'x', CORES_BYTES);
  else if (lie("rows") && *bytes == TURN_BYTES + 12 * value())
    spoilt = spoil_rows(copy, *bytes);
  if (spoilt) return copy;
  free(copy);
  return buffer;
}

int MPI_Isend(const void *buffer, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request) {
  if (lie("silent") && its_turn()) for_ever();
  if (lie("drip")) usleep(1000 * (useconds_t)value());
  buffer = spoil(buffer, &count);
  return PMPI_Isend(buffer, count, type, to, tag, comm, request);
}

int flock(int file, int operation) {
  int (*real)(int, int);
  *(void **)&real = dlsym(RTLD_NEXT, "flock");
  if (!lie("noflock")) return real(file, operation);
  errno = ENOSYS;
  return -1;
}

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
  if (lie("absent")) for_ever();
  return PMPI_Init_thread(argc, argv, required, provided);
}
