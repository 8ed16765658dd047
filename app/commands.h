// The subcommands, one file each.
#ifndef TW_COMMANDS_H
#define TW_COMMANDS_H

#include "app/options.h"

extern const tw_command tw_command_import, tw_command_plan, tw_command_share, tw_command_deal, tw_command_encode,
    tw_command_ledger, tw_command_upgrade, tw_command_run, tw_command_reveal, tw_command_check, tw_command_report,
    tw_command_bench, tw_command_site, tw_command_seal, tw_command_unseal, tw_command_verify, tw_command_handover,
    tw_command_relay, tw_command_ask, tw_command_destroy, tw_command_doctor, tw_command_status;

#endif
