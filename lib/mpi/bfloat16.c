/* Sums of bfloat16, the upper half of a float32: widened, added, and rounded to the nearest, ties
 * to even. Addition commutes bit for bit, which MPI is told. SPDX-License-Identifier: MIT */
#include <string.h>

#include "mpi/engine.h"

static float widen(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* A NaN stays one: its upper half may have no bit of the fraction left. */
static uint16_t round_half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

/* As MPI_User_function wants it. */
static void add(void *from, void *to, int *count, MPI_Datatype *type) {
  const uint16_t *a = from;
  uint16_t *b = to;
  (void)type;
  for (int i = 0; i < *count; i++)
    b[i] = round_half(widen(a[i]) + widen(b[i]));
}

int glow__mpi_sum16_create(MPI_Op *op) {
  return MPI_Op_create(add, 1, op);
}
