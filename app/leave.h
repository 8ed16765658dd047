// What a process that is told to end takes with it: the launcher ends a rank by SIGTERM when the other one has failed.
#ifndef TW_LEAVE_H
#define TW_LEAVE_H

// From here on SIGTERM, SIGINT and SIGHUP remove the file `path` before they end the process; NULL: nothing any more.
void tw_leave_removing(const char *path);
// The same at once, before _exit.
void tw_leave_remove(void);

#endif
