/* Generated digits: the strokes of 0 to 9, each picture with a size, place, slant, thickness and
 * warp of its own, drawn white on black and anti-aliased. Digit `number` is of class number mod 10.
 * A picture is a function of seed and number alone.
 *
 * A stroke passes through its points on a Catmull-Rom spline: between p1 and p2, at t in [0, 1],
 *   p(t) = p1 + t (p2 - p0)/2 + t^2 (p0 - 5/2 p1 + 2 p2 - p3/2) + t^3 (3 (p1 - p2) + p3 - p0)/2
 * (Catmull and Rom, "A class of local interpolating splines", 1974); ends count twice. Corners are
 * where one stroke ends and the next begins. SPDX-License-Identifier: MIT */
#include <math.h>

#include "data.h"
#include "data_random.h"

enum { CLASSES = 10, MOST_STROKES = 3, MOST_POINTS = 9, PIECES = 6 }; /* lines between two points */
enum { MOST_LINES = MOST_STROKES * (MOST_POINTS - 1) * PIECES };

typedef struct point {
  double x, y;
} point;

typedef struct stroke {
  int points; /* 0: no further strokes */
  point at[MOST_POINTS];
} stroke;

/* In a box of height 1, x to the right and y downwards, (0, 0) its centre. */
/* clang-format off */
static const stroke skeletons[CLASSES][MOST_STROKES] = {
    {{9, {{0, -.5}, {-.21, -.36}, {-.29, 0}, {-.21, .36}, {0, .5}, {.21, .36}, {.29, 0},
          {.21, -.36}, {0, -.5}}}},
    {{2, {{-.2, -.28}, {.03, -.5}}}, {2, {{.03, -.5}, {.03, .5}}}},
    {{7, {{-.27, -.28}, {-.17, -.44}, {.04, -.5}, {.25, -.38}, {.25, -.16}, {.04, .17}, {-.3, .5}}},
     {2, {{-.3, .5}, {.32, .5}}}},
    {{5, {{-.26, -.4}, {0, -.5}, {.24, -.38}, {.2, -.13}, {-.06, -.03}}},
     {6, {{-.06, -.03}, {.22, .06}, {.29, .27}, {.17, .45}, {-.07, .5}, {-.3, .38}}}},
    {{2, {{.1, -.5}, {-.34, .2}}}, {2, {{-.34, .2}, {.36, .2}}}, {2, {{.14, -.14}, {.14, .5}}}},
    {{2, {{.27, -.5}, {-.2, -.5}}}, {2, {{-.2, -.5}, {-.24, -.06}}},
     {6, {{-.24, -.06}, {.04, -.13}, {.28, .04}, {.27, .33}, {.03, .5}, {-.28, .4}}}},
    {{9, {{.22, -.5}, {-.07, -.3}, {-.25, .03}, {-.23, .36}, {.02, .5}, {.26, .36}, {.23, .09},
          {0, 0}, {-.25, .16}}}},
    {{2, {{-.3, -.5}, {.3, -.5}}}, {3, {{.3, -.5}, {.06, -.02}, {-.08, .5}}}},
    {{7, {{0, -.04}, {-.22, -.2}, {-.19, -.42}, {0, -.5}, {.19, -.42}, {.22, -.2}, {0, -.04}}},
     {7, {{0, -.04}, {-.27, .17}, {-.22, .42}, {0, .5}, {.22, .42}, {.27, .17}, {0, -.04}}}},
    {{7, {{.25, -.2}, {.18, -.43}, {-.03, -.5}, {-.25, -.34}, {-.21, -.07}, {.02, 0}, {.25, -.2}}},
     {3, {{.25, -.2}, {.2, .12}, {.04, .5}}}},
};
/* clang-format on */

/* ---- from a skeleton to lines on the picture ------------------------------------------------- */

/* How one picture is written; lengths in heights of the picture. */
typedef struct hand {
  double height, width, slant;               /* of the box; x += slant y */
  point centre, amplitude, phase, frequency; /* warp: x += amplitude sin(frequency y + phase) */
  double radius;                             /* half the thickness of a stroke */
} hand;

static hand draw_hand(uint64_t *state) {
  hand h;
  h.height = between(state, 0.56, 0.74);
  h.width = h.height * between(state, 0.8, 1.2);
  h.slant = between(state, -0.15, 0.4);
  h.centre = (point){0.5 + between(state, -0.06, 0.06), 0.5 + between(state, -0.06, 0.06)};
  h.amplitude = (point){between(state, 0.0, 0.08), between(state, 0.0, 0.08)};
  h.phase = (point){between(state, 0.0, 6.283185307179586), between(state, 0.0, 6.283185307179586)};
  h.frequency = (point){between(state, 3.0, 7.0), between(state, 3.0, 7.0)};
  h.radius = between(state, 0.045, 0.075);
  return h;
}

static point place(const hand *h, point p) {
  double x = p.x + h->amplitude.x * sin(h->frequency.x * p.y + h->phase.x);
  double y = p.y + h->amplitude.y * sin(h->frequency.y * p.x + h->phase.y);
  return (point){h->centre.x + h->width * (x - h->slant * y), h->centre.y + h->height * y};
}

static double spline(double a, double b, double c, double d, double t) {
  return b +
         t * ((c - a) / 2 + t * (a - 2.5 * b + 2 * c - d / 2 + t * ((3 * (b - c) + d - a) / 2)));
}

/* Between points i and i + 1. */
static point on_stroke(const stroke *s, int i, double t) {
  const point *a = &s->at[i > 0 ? i - 1 : 0], *b = &s->at[i], *c = &s->at[i + 1];
  const point *d = &s->at[i + 2 < s->points ? i + 2 : i + 1];
  return (point){spline(a->x, b->x, c->x, d->x, t), spline(a->y, b->y, c->y, d->y, t)};
}

typedef struct line {
  point from, to;
} line;

static int draw_lines(const hand *h, int digit, line *lines) {
  int count = 0;
  for (const stroke *s = skeletons[digit]; s < skeletons[digit] + MOST_STROKES && s->points; s++)
    for (int i = 0; i + 1 < s->points; i++)
      for (int k = 0; k < PIECES; k++)
        lines[count++] = (line){place(h, on_stroke(s, i, (double)k / PIECES)),
                                place(h, on_stroke(s, i, (double)(k + 1) / PIECES))};
  return count;
}

/* ---- from lines to pixels -------------------------------------------------------------------- */

static double square_distance(const line *l, double x, double y) {
  double ux = l->to.x - l->from.x, uy = l->to.y - l->from.y, length = ux * ux + uy * uy;
  double vx = x - l->from.x, vy = y - l->from.y;
  double t = length > 0 ? fmax(0.0, fmin(1.0, (ux * vx + uy * vy) / length)) : 0.0;
  return (vx - t * ux) * (vx - t * ux) + (vy - t * uy) * (vy - t * uy);
}

/* A pixel is covered by the part of its width that lies within the stroke's edge. */
int32_t digits_draw(uint64_t seed, uint64_t number, int64_t size, uint8_t *pixels) {
  line lines[MOST_LINES];
  int32_t digit = (int32_t)(number % CLASSES);
  uint64_t state = picture_state(seed, number);
  hand h = (draw(&state), draw_hand(&state)); /* first draws of near states are alike */
  int count = draw_lines(&h, digit, lines);
  for (int64_t p = 0; p < size * size; p++) {
    double x = ((double)(p % size) + 0.5) / (double)size;
    double y = ((double)(p / size) + 0.5) / (double)size, nearest = INFINITY;
    for (int i = 0; i < count; i++)
      nearest = fmin(nearest, square_distance(&lines[i], x, y));
    double covered = 0.5 + (h.radius - sqrt(nearest)) * (double)size;
    pixels[p] = (uint8_t)(255.0 * fmax(0.0, fmin(1.0, covered)) + 0.5);
  }
  return digit;
}
