/* Area under the receiver operating characteristic. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_ROC_H
#define GLOWTOOL_ROC_H

#include <stdint.h>

/* Probability that a number of `high` is larger than one of `low`, equal ones counting half: the
 * Mann-Whitney statistic over its largest value (Hanley and McNeil 1982). Sorts both. Needs one
 * number of each or more. */
double area_under_curve(double *low, int64_t low_count, double *high, int64_t high_count);

#endif
