// Status codes and error messages. Every fallible function returns tw_status;
// the message of the last failure of this thread is kept beside it. Only app/ prints.
#ifndef TW_STATUS_H
#define TW_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  TW_OK = 0,
  TW_ERR_INTERNAL = 1,  // a broken invariant of twain itself
  TW_ERR_USAGE = 2,     // command line
  TW_ERR_IO = 3,        // missing, unreadable, unwritable, disk full
  TW_ERR_FORMAT = 4,    // truncated, damaged or malformed file
  TW_ERR_MISMATCH = 5,  // files or parties that do not belong together
  TW_ERR_USED = 6,      // one-time key slot used before
  TW_ERR_PEER = 7,      // the other party died, hung or spoke out of turn
  TW_ERR_RANGE = 8,     // values or plan outside what rings and windows can hold
  TW_ERR_MEMORY = 9,
  TW_ERR_CHECK = 10,    // a verification (check, bench) came out negative
  TW_STOPPED = 11,      // a signal asked for an end: what was in hand is done, the rest is not
  TW_ERR_IDENTITY = 12  // a site, or a sender, that is not who it should be
} tw_status;

// Whether `code`, which may come from elsewhere, is one of these.
static inline int tw_status_known(int code) { return code >= TW_OK && code <= TW_ERR_IDENTITY; }

// Record a message (printf format) for this thread and return `code`.
// A message names file, dataset or tensor, and the remedy.
tw_status tw_fail(tw_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Put "context: " before the recorded message; returns `code` unchanged.
tw_status tw_fail_in(tw_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__  // sees no other file, and must know that what fails returns `code`
#define tw_fail(code, ...) ((void)tw_fail(code, __VA_ARGS__), (tw_status)(code))
#define tw_fail_in(code, ...) ((void)tw_fail_in(code, __VA_ARGS__), (tw_status)(code))
#endif

// Message of the last failure in this thread ("" when none).
const char *tw_error_message(void);

#define TW_TRY(expr)                                    \
  do {                                                  \
    tw_status tw_try_status_ = (expr);                  \
    if (tw_try_status_ != TW_OK) return tw_try_status_; \
  } while (0)

#ifdef __cplusplus
}
#endif

#endif
