/* Moons and rings are arcs with Gaussian noise around them:
 *   p(x) = mean over arcs of  1/(b - a) integral_a^b N(x; c + r (cos t, sin t), s^2 I) dt,
 * by the midpoint rule with steps far below s. The checkerboard is uniform on 8 squares of 16.
 * SPDX-License-Identifier: MIT */
#include "sets.h"

#include <math.h>
#include <stddef.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

typedef struct arc {
  double x, y, radius, from, to;
} arc;

enum { ARCS = 2, POINTS = 400 };
static const arc moons[ARCS] = {{-1, -0.5, 2, 0, M_PI}, {1, 0.5, 2, M_PI, 2 * M_PI}};
static const arc rings[ARCS] = {{0, 0, 1.2, 0, 2 * M_PI}, {0, 0, 2.8, 0, 2 * M_PI}};
static const double moons_noise = 0.2, rings_noise = 0.2;

static glow_status draw_arcs(glow_rng *rng, const arc *arcs, double noise, int64_t count,
                             float *out) {
  for (int64_t n = 0; n < count; n++) {
    float place[2], normal[2];
    glow_status status = glow_rng_uniform(rng, place, 2);
    if (status == GLOW_OK)
      status = glow_rng_normal(rng, normal, 2);
    if (status != GLOW_OK)
      return status;
    const arc *a = &arcs[place[0] < 0.5f];
    double t = a->from + (a->to - a->from) * (double)place[1];
    out[2 * n] = (float)(a->x + a->radius * cos(t) + noise * (double)normal[0]);
    out[2 * n + 1] = (float)(a->y + a->radius * sin(t) + noise * (double)normal[1]);
  }
  return GLOW_OK;
}

static double arcs_density(const arc *arcs, double noise, double x, double y) {
  double sum = 0;
  for (int i = 0; i < ARCS; i++)
    for (int p = 0; p < POINTS; p++) {
      const arc *a = &arcs[i];
      double t = a->from + (a->to - a->from) * (p + 0.5) / POINTS;
      double dx = x - a->x - a->radius * cos(t), dy = y - a->y - a->radius * sin(t);
      sum += exp(-(dx * dx + dy * dy) / (2 * noise * noise));
    }
  return log(sum / (ARCS * POINTS) / (2 * M_PI * noise * noise));
}

static glow_status draw_moons(glow_rng *rng, int64_t count, float *out) {
  return draw_arcs(rng, moons, moons_noise, count, out);
}

static double moons_density(double x, double y) {
  return arcs_density(moons, moons_noise, x, y);
}

static glow_status draw_rings(glow_rng *rng, int64_t count, float *out) {
  return draw_arcs(rng, rings, rings_noise, count, out);
}

static double rings_density(double x, double y) {
  return arcs_density(rings, rings_noise, x, y);
}

/* Squares of side 2; the one at column c and row r is there when c + r is even. */
static glow_status draw_checkerboard(glow_rng *rng, int64_t count, float *out) {
  for (int64_t n = 0; n < count; n++) {
    float u[3];
    glow_status status = glow_rng_uniform(rng, u, 3);
    if (status != GLOW_OK)
      return status;
    int square = (int)(8 * u[0]), row = square / 2, column = 2 * (square % 2) + row % 2;
    out[2 * n] = -4 + 2 * ((float)column + u[1]);
    out[2 * n + 1] = -4 + 2 * ((float)row + u[2]);
  }
  return GLOW_OK;
}

static double checkerboard_density(double x, double y) {
  if (!(fabs(x) < 4 && fabs(y) < 4))
    return -INFINITY;
  int column = (int)floor((x + 4) / 2), row = (int)floor((y + 4) / 2);
  return (column + row) % 2 ? -INFINITY : -log(32);
}

const plane_set plane_sets[] = {
    {"moons", draw_moons, moons_density},
    {"rings", draw_rings, rings_density},
    {"checkerboard", draw_checkerboard, checkerboard_density},
    {NULL, NULL, NULL},
};
