/* Passes over activations for any CPU. SPDX-License-Identifier: MIT */
#include "math/passes_loops.h"

const glow__passes glow__passes_c = GLOW_PASSES;
