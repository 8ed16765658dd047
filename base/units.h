// Quantities as people type them: a number and its unit, without which a factor of a thousand or of eight goes unseen.
#ifndef TW_UNITS_H
#define TW_UNITS_H

#include "base/status.h"

// "10us", "0.5 ms", "2s": seconds. TW_ERR_USAGE, with the units there are, for anything else; a bare number, too.
tw_status tw_parse_seconds(const char *text, double *seconds);

// "10Gbit/s", "500 Mbit/s", "64kbit/s", "12.5GB/s", "80MB/s", "1kB/s": bytes a second. Decimal prefixes.
tw_status tw_parse_rate(const char *text, double *bytes_per_second);

#endif
