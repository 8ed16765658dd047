// The host's collector (comm/opens.h) as the opener of sessions on the CPU.
#ifndef TW_HOST_OPENER_H
#define TW_HOST_OPENER_H

#include "jobs/program/opener.h"

// `opens` belongs to the caller and outlives the opener. Halves of a batch share one.
tw_opener tw_host_opener(tw_opens *opens);

#endif
