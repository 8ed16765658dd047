// What subcommands share: option parsing, names of files, progress, tables.
#ifndef TW_APP_H
#define TW_APP_H

#include "base/status.h"

#endif
