// Signals that end the process (INT, TERM, HUP): files are put right first.
#ifndef TW_INTERRUPT_H
#define TW_INTERRUPT_H

// From main, once. undo runs inside a signal handler, on any thread: async-signal-safe calls only. The signal then ends
// the process as it would have. One that the process was started to ignore stays ignored.
void tw_interrupts_catch(void (*undo)(void));

// Between these two a signal waits: what it would undo is being changed. They do not nest.
void tw_interrupts_hold(void);
void tw_interrupts_release(void);

// From here on a write to a pipe whose reader has gone is an error, and no end of the process: whoever reads what is
// said may go, while key slots are in use or others are served.
void tw_readers_may_go(void);

#endif
