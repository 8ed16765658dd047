// The version of twain's files: one number for all of them.
//
// The rule (docs/formats.md, "Versions"): it rises whenever a reader of the version before would refuse, misread or
// silently ignore something that a file now says. A reader takes exactly its own version. What cannot be made again
// (ledgers, and the shares of a model whose owner is gone) is carried over by io/upgrade.h; everything else is written
// anew by the command that wrote it.
#ifndef TW_FORMAT_H
#define TW_FORMAT_H

#include "base/status.h"

enum { TW_FORMAT_VERSION = 2 };

// The remedy where there is an upgrade.
#define TW_UPGRADE "`twain upgrade` brings it to this version"

// TW_ERR_FORMAT for a file of another version than the one wanted; TW_ERR_USAGE where an earlier one was wanted for an
// upgrade and the file is of this version. remedy: what to do about a file of an earlier one.
tw_status tw_format_other_version(const char *path, const char *format, const char *found, const char *remedy);

#endif
