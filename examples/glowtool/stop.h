/* Signals that end a run, or make it save. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_STOP_H
#define GLOWTOOL_STOP_H

#include <stdbool.h>

/* From here on the first of a signal that ends a run only raises a flag; the second one kills. */
void stop_install(void);
bool stop_wanted(void);
/* From here on SIGUSR1 raises a flag, which save_wanted returns and lowers. */
void save_install(void);
bool save_wanted(void);

#endif
