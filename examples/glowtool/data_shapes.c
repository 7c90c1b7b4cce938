/* Generated pictures: one to three anti-aliased coloured shapes on a shaded background. A picture
 * is a function of seed and number alone. SPDX-License-Identifier: MIT */
#include <math.h>

#include "data.h"
#include "data_random.h"

enum { SAMPLES = 4, MOST_SHAPES = 3 }; /* SAMPLES x SAMPLES points a pixel */

typedef struct colour {
  double c[3];
} colour;

/* Hue around the circle, saturation and value as in HSV. */
static colour from_hue(double hue, double saturation, double value) {
  colour out;
  for (int i = 0; i < 3; i++) {
    double k = fmod((double)(5 - 2 * i) + 6.0 * hue + 6.0, 6.0), t = k < 4.0 - k ? k : 4.0 - k;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    out.c[i] = value * (1.0 - saturation * t);
  }
  return out;
}

typedef enum kind { CIRCLE, RECTANGLE, TRIANGLE } kind;

typedef struct shape {
  kind kind;
  double x, y, size, aspect, cosine, sine; /* centre and half size, in [0, 1] of the picture */
  colour fill;
} shape;

static shape draw_shape(uint64_t *state, double hue) {
  shape s = {.kind = (kind)(3.0 * draw(state))};
  double angle = between(state, 0.0, 6.283185307179586);
  s.x = between(state, 0.2, 0.8);
  s.y = between(state, 0.2, 0.8);
  s.size = between(state, 0.14, 0.3);
  s.aspect = s.kind == RECTANGLE ? between(state, 0.5, 1.0) : 1.0;
  s.cosine = cos(angle);
  s.sine = sin(angle);
  s.fill =
      from_hue(hue + between(state, 0.2, 0.8), between(state, 0.6, 1.0), between(state, 0.7, 1.0));
  return s;
}

static bool covers(const shape *s, double x, double y) {
  double u = ((x - s->x) * s->cosine + (y - s->y) * s->sine) / s->size;
  double v = ((y - s->y) * s->cosine - (x - s->x) * s->sine) / (s->size * s->aspect);
  switch (s->kind) {
  case CIRCLE: return u * u + v * v <= 1.0;
  case RECTANGLE: return fabs(u) <= 0.85 && fabs(v) <= 0.85;
  default: return v <= 0.6 && v >= -1.0 + 1.85 * fabs(u) - 0.05;
  }
}

typedef struct scene {
  colour low, high; /* background, from one side to the other */
  double cosine, sine;
  int shapes;
  shape shape[MOST_SHAPES];
} scene;

static scene draw_scene(uint64_t seed, uint64_t number) {
  uint64_t state = picture_state(seed, number);
  double hue = (draw(&state), draw(&state)), angle = between(&state, 0.0, 6.283185307179586);
  scene s = {.cosine = cos(angle), .sine = sin(angle)};
  s.low = from_hue(hue, between(&state, 0.1, 0.5), between(&state, 0.25, 0.5));
  s.high = from_hue(hue + between(&state, -0.1, 0.1), between(&state, 0.1, 0.4),
                    between(&state, 0.6, 0.95));
  s.shapes = 1 + (int)(MOST_SHAPES * draw(&state));
  for (int i = 0; i < s.shapes; i++)
    s.shape[i] = draw_shape(&state, hue);
  return s;
}

static colour colour_at(const scene *s, double x, double y) {
  double t = 0.5 + 0.7 * ((x - 0.5) * s->cosine + (y - 0.5) * s->sine);
  colour out;
  t = t < 0 ? 0 : t > 1 ? 1 : t;
  for (int i = 0; i < 3; i++)
    out.c[i] = s->low.c[i] + t * (s->high.c[i] - s->low.c[i]);
  for (int i = 0; i < s->shapes; i++)
    if (covers(&s->shape[i], x, y))
      out = s->shape[i].fill;
  return out;
}

void shapes_draw(uint64_t seed, uint64_t number, int64_t size, uint8_t *pixels) {
  scene s = draw_scene(seed, number);
  for (int64_t p = 0; p < size * size; p++) {
    double sum[3] = {0};
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
      double x = ((double)(p % size) + ((double)(i % SAMPLES) + 0.5) / SAMPLES) / (double)size;
      double y = ((double)(p / size) + ((double)(i / SAMPLES) + 0.5) / SAMPLES) / (double)size;
      colour c = colour_at(&s, x, y);
      for (int k = 0; k < 3; k++)
        sum[k] += c.c[k];
    }
    for (int k = 0; k < 3; k++)
      pixels[3 * p + k] = (uint8_t)(255.0 * sum[k] / (SAMPLES * SAMPLES) + 0.5);
  }
}
