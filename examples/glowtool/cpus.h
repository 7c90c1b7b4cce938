/* How many processors this process may use. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_CPUS_H
#define GLOWTOOL_CPUS_H

#include <stdint.h>

/* The processors that the process is allowed to run on, or as many as the CPU quotas of its control
 * groups are worth, rounded up, where that is fewer. At least 1. */
int64_t usable_cpus(void);
/* The quotas alone, in processors; INFINITY without any. `root` stands for "/": tests have one of
 * their own. */
double quota_cpus(const char *root);

#endif
