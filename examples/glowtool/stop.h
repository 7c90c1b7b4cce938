/* Signals that end a run, or make it save. A signal that is ignored when the program starts, as
 * SIGHUP is under nohup, stays ignored. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_STOP_H
#define GLOWTOOL_STOP_H

#include <stdbool.h>

/* Training. From here on the first of the signals that end a run only raises a flag; SIGINT or
 * SIGTERM a second later or more kills. silent: it is not told that the run will stop. */
void stop_install(bool silent);
/* Other commands, from where on a file is written that must not be left half done: the same, and
 * signals that ask for saving do nothing. */
void stop_install_writing(void);
bool stop_wanted(void);
/* Ends the program by the signal that stop_wanted tells of, as if it had not been caught. */
void stop_end(void);

/* From here on SIGUSR1 and SIGUSR2 raise a flag, which save_wanted returns and lowers. */
void save_install(void);
bool save_wanted(void);

#endif
