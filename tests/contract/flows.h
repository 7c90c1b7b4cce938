/* A small model of each preset, with parameters that are not those of the start.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_FLOWS_H
#define GLOW_TEST_FLOWS_H

#include "../support/model_helpers.h"

typedef struct flow {
  const char *name;
  glow_model *(*make)(glow_context *);
  bool logistic;   /* the prior's density */
  double rounding; /* of gradients, relative: 1e-7 times the condition of the Jacobian, which is far
                      larger in RealNVP, with its residual nets and batch normalisations. The slope
                      of a spline bends at its knots, and x may be rounded across one */
  double slope;    /* how near differences of float32 results come, relative */
} flow;

enum { FLOWS = 6, FLOW_OF_TWO = FLOWS - 1 /* two continuous elements */ };
extern const flow flows[FLOWS];

#endif
