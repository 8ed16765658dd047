// Signals that end the process (INT, TERM, HUP, USR1): files are put right first. Work that is done piece by piece may
// ask for the first of them as a wish.
#ifndef TW_INTERRUPT_H
#define TW_INTERRUPT_H

#include <stdbool.h>

// From main, once. undo runs inside a signal handler, on any thread: async-signal-safe calls only. The signal then ends
// the process as it would have. One that the process was started to ignore stays ignored.
void tw_interrupts_catch(void (*undo)(void));

// Between these two a signal waits: what it would undo is being changed. They do not nest.
void tw_interrupts_hold(void);
void tw_interrupts_release(void);

// From here on the first INT, TERM or USR1 only asks for an end; `asked` says so, with async-signal-safe calls. What
// comes within a second of it is the same wish: launchers and batch systems send one to a process twice. Any later one
// ends the process as above. launcher_seconds: a TERM from the process that started this one, which kills after that
// long, so the end as above comes a little before, if the wish was not met by then; 0: nobody kills.
void tw_interrupts_defer(void (*asked)(void), double launcher_seconds);
// Whether one has asked. False where nobody defers.
bool tw_interrupts_asked(void);

// From here on a write to a pipe whose reader has gone is an error, and no end of the process: whoever reads what is
// said may go, while key slots are in use or others are served.
void tw_readers_may_go(void);

#endif
