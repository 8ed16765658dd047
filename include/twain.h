// twain's library: what its commands do with an input, for programs. A client opens plan and model, encodes, shares,
// and later reveals; each party runs. Models, plans and keys come from the commands (import, plan, share, deal,
// ledger). docs/library.md is the guide; examples/embed.c goes the whole way.
//
// NAME is a path and the beginning of file names, as in the commands: runs/minilm for runs/minilm.plan.json and so on.
// Files have the commands' formats and mode 0600; commands and library take each other's.
//
// Functions return a status. After a failure twain_message() says what failed and what to do; what was to be made is
// NULL, and nothing is left on the disk. What a function makes (its last argument) belongs to the caller,
// who ends it with the function named beside it; NULL is allowed there. Arguments are only read, and need not outlive
// the call unless a comment says so. Strings are UTF-8.
//
// Threads: one thread at a time uses an object. Several threads may work at once with objects of their own.
#ifndef TWAIN_H
#define TWAIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Grows when a program that was compiled for it would no longer work.
#define TWAIN_ABI 1

#define TWAIN_API __attribute__((visibility("default")))

// The commands' exit codes.
typedef enum {
  TWAIN_OK = 0,
  TWAIN_ERR_INTERNAL = 1,  // a broken invariant of twain itself
  TWAIN_ERR_USAGE = 2,     // an argument
  TWAIN_ERR_IO = 3,        // missing, unreadable, unwritable, disk full
  TWAIN_ERR_FORMAT = 4,    // truncated, damaged or malformed file
  TWAIN_ERR_MISMATCH = 5,  // files or parties that do not belong together
  TWAIN_ERR_USED = 6,      // one-time key slot used before, or none left
  TWAIN_ERR_PEER = 7,      // the other party ended, hung or spoke out of turn; a time limit passed
  TWAIN_ERR_RANGE = 8,     // a value does not fit the plan
  TWAIN_ERR_MEMORY = 9
} twain_status;

// ---- the process

TWAIN_API int twain_abi(void);              // of the library; TWAIN_ABI is the program's
TWAIN_API const char *twain_version(void);  // "0.2.0"
// Of the last failure in this thread, "" when none; until the next failure.
TWAIN_API const char *twain_message(void);

// Before anything else, and again in a process made by fork. abi: TWAIN_ABI; TWAIN_ERR_USAGE when the library has
// another one. From here on this process leaves no core files (RLIMIT_CORE is 0).
TWAIN_API twain_status twain_begin(int abi);

// ---- the client: plan and model

typedef struct twain_plan twain_plan;
typedef struct twain_model twain_model;

// NAME.plan.json, and NAME.prefix.json where it has a prefix and is to encode. End with twain_plan_close.
TWAIN_API twain_status twain_plan_open(const char *name, twain_plan **plan);
TWAIN_API void twain_plan_close(twain_plan *plan);
TWAIN_API int twain_plan_tokens(const twain_plan *plan);  // of an input, padding included
TWAIN_API int twain_plan_width(const twain_plan *plan);   // of an input's row
TWAIN_API int twain_plan_rows(const twain_plan *plan);    // of a sequence's result
TWAIN_API int twain_plan_columns(const twain_plan *plan);

// NAME.client.h5: vocabulary and embeddings, no weights of layers. End with twain_model_close.
TWAIN_API twain_status twain_model_open(const char *name, twain_model **model);
TWAIN_API void twain_model_close(twain_model *model);

// ---- the client: an input

typedef struct twain_input twain_input;

// Texts to embedded tokens, padded to the plan's length; to token ids where the plan's parties embed. cut: what is
// longer is cut as transformers does; 0: it is TWAIN_ERR_RANGE. A plan's prefix begins each text, or its ids, and only
// what is behind it is counted; embedded rows are those behind it. End with twain_input_free.
TWAIN_API twain_status twain_encode_text(const twain_model *model, const twain_plan *plan, const char *const *texts,
                                         int count, int cut, twain_input **input);
// The same from token ids, lengths[i] of them at ids[i], taken as they are: no [CLS] or [SEP] is added.
TWAIN_API twain_status twain_encode_ids(const twain_model *model, const twain_plan *plan, const int *const *ids,
                                        const int *lengths, int count, twain_input **input);
// The same from embeddings after the model's first LayerNorm: rows [count][tokens][width] of the plan. lengths[i]: live
// rows of sequence i; the others hold the padding token's embedding. TWAIN_ERR_MISMATCH: the plan's parties embed.
TWAIN_API twain_status twain_encode_rows(const twain_plan *plan, const float *rows, const int *lengths, int count,
                                         twain_input **input);
TWAIN_API int twain_input_length(const twain_input *input, int sequence);  // live tokens; -1: no such sequence
TWAIN_API void twain_input_free(twain_input *input);

// Splits an input: NAME.input.p0.h5 and NAME.input.p1.h5, both or none, with fresh randomness every time; reads
// NAME.plan.json and NAME.model.json. replace: files that are there, else they are TWAIN_ERR_IO.
TWAIN_API twain_status twain_share(const twain_input *input, const char *name, int replace);

// ---- a party: the link to the other

typedef struct twain_link twain_link;

// A stream of bytes that the caller has opened, authenticated and encrypted (twain does neither), and closes. Both
// functions return at once: how many bytes went or came, 0: none just now, negative: the stream has ended.
typedef struct {
  ptrdiff_t (*send)(void *state, const void *data, size_t bytes);
  ptrdiff_t (*receive)(void *state, void *data, size_t bytes);
  void *state;
} twain_stream;

// silence: seconds without a byte from the other party, after which a run is given up (TWAIN_ERR_PEER). A link serves
// run after run, and none after a failure. End with twain_link_close, before the stream is closed.
TWAIN_API twain_status twain_link_stream(const twain_stream *stream, int party, double silence, twain_link **link);
// Between the two ranks of MPI_COMM_WORLD, rank 0 is party 0; with MPI_THREAD_SERIALIZED for GPUs. After a failure the
// other rank may be waiting inside MPI: call MPI_Abort.
TWAIN_API twain_status twain_link_mpi(double silence, twain_link **link);
TWAIN_API int twain_link_party(const twain_link *link);
TWAIN_API void twain_link_close(twain_link *link);

// ---- a party: the run

typedef struct {
  size_t size;          // sizeof(twain_run_options): later versions append fields
  const char *ledger;   // folder made by `twain ledger --new`; NULL: the commands' default
  const char *device;   // "cpu"; "cuda" or "auto" with twain_link_mpi
  int replace;          // a result file that is there
  int allow_test_keys;  // keys with which nothing is private
  int allow_unlocked;   // go on, for all of this process, where seeds cannot be locked in memory
  double time_limit;    // seconds for the whole run; 0: none. Seen where a party waits for the other
  void (*warn)(void *state, const char *text);     // what the commands print as WARNING; NULL: nobody is told
  void (*progress)(void *state, double fraction);  // NULL: none
  void *state;
} twain_run_options;

// The commands' defaults: twain_run_options o = TWAIN_RUN_OPTIONS;
#define TWAIN_RUN_OPTIONS \
  { sizeof(twain_run_options), NULL, "cpu", 0, 0, 0, 0, NULL, NULL, NULL }

// One party's inference, as `twain run` makes it: reads NAME.plan.json, .model.pR.h5, .keys.pR.h5 and .input.pR.h5 of
// the link's party R, writes NAME.result.pR.h5. Uses up a key slot for every sequence, for good, also when it fails
// later. Both parties call it; a failure of one is a failure of both, and each has both messages. The calling thread
// needs a stack of 1 MiB. options: NULL for the defaults.
TWAIN_API twain_status twain_run(const char *name, twain_link *link, const twain_run_options *options);

// ---- the client: the result

typedef struct twain_result twain_result;

// Joins NAME.result.p0.h5 and NAME.result.p1.h5, which must be of one run, and of NAME's plan, model and input where
// these are there. TWAIN_ERR_RANGE: values left the plan's bounds, and the result is not to be trusted. End with
// twain_result_free.
TWAIN_API twain_status twain_reveal(const char *name, twain_result **result);
TWAIN_API int twain_result_count(const twain_result *result);  // sequences
TWAIN_API int twain_result_rows(const twain_result *result);
TWAIN_API int twain_result_columns(const twain_result *result);
// [rows][columns] of one sequence, scaled to length 1 where the model does so; until the result is freed. NULL: no such
// sequence.
TWAIN_API const double *twain_result_values(const twain_result *result, int sequence);
TWAIN_API void twain_result_free(twain_result *result);

#ifdef __cplusplus
}
#endif

#endif
