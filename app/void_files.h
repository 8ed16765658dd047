// Files that stay when what they were made for is replaced, and serve no more.
#ifndef TW_VOID_FILES_H
#define TW_VOID_FILES_H

// Says which of NAME's files with these endings are here, plain or sealed, keys with those that were appended
// (io/key_parts.h), and those of the lengths that a plan of this NAME had (jobs/plan/lengths.h): they are void. why:
// the rest of the sentence.
void tw_say_void(const char *name, const char *const *suffixes, int count, const char *why);

#endif
