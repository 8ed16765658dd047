// For commands that work until they are told to stop.
#ifndef TW_STOP_SIGNALS_H
#define TW_STOP_SIGNALS_H

#include "base/status.h"

// SIGINT, SIGTERM and SIGHUP as something that can be read, one record each, from here on; in threads that start later,
// too. The caller closes *fd. The reader of what is said may go.
tw_status tw_stop_signals(int *fd);

#endif
