/* A small model of each preset, with parameters that are not those of the start.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_FLOWS_H
#define GLOW_TEST_FLOWS_H

#include "../support/model_helpers.h"

typedef struct flow {
  const char *name;
  glow_model *(*make)(glow_context *);
  bool logistic; /* the prior's density */
} flow;

enum { FLOWS = 6, FLOW_OF_TWO = FLOWS - 1 /* two continuous elements */ };
extern const flow flows[FLOWS];

#endif
