/* Line charts: axes with round ticks, anti-aliased lines, a legend. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "picture_font.h"

enum {
  WIDTH = 900,
  HEIGHT = 600,
  LEFT = 90,
  RIGHT = 30,
  TOP = 60,
  BOTTOM = 70,
  SCALE = 2,
  TICKS = 6
};

typedef struct colour {
  uint8_t r, g, b;
} colour;

static const colour black = {40, 40, 40}, grey = {225, 225, 225};
static const colour palette[] = {{31, 119, 180}, {214, 90, 30},  {44, 140, 60},
                                 {160, 40, 120}, {120, 90, 200}, {90, 90, 90}};
enum { COLOURS = sizeof palette / sizeof *palette };

typedef struct axis {
  double low, high, step; /* step between ticks */
} axis;

typedef struct chart {
  uint8_t *pixels;
  axis x, y;
} chart;

/* ---- drawing --------------------------------------------------------------------------------- */

static void blend(chart *c, int64_t x, int64_t y, colour ink, double cover) {
  if (x < 0 || y < 0 || x >= WIDTH || y >= HEIGHT)
    return;
  uint8_t *p = c->pixels + 3 * (y * WIDTH + x);
  const uint8_t to[3] = {ink.r, ink.g, ink.b};
  for (int i = 0; i < 3; i++)
    p[i] = (uint8_t)lround((double)p[i] + cover * ((double)to[i] - (double)p[i]));
}

static void box(chart *c, int64_t x, int64_t y, int64_t width, int64_t height, colour ink) {
  for (int64_t j = y; j < y + height; j++)
    for (int64_t i = x; i < x + width; i++)
      blend(c, i, j, ink, 1.0);
}

/* A segment two pixels thick: each pixel near it is covered by its distance. */
static void segment(chart *c, double x0, double y0, double x1, double y1, colour ink) {
  double dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
  int64_t left = (int64_t)floor(fmin(x0, x1)) - 2, right = (int64_t)ceil(fmax(x0, x1)) + 2;
  int64_t top = (int64_t)floor(fmin(y0, y1)) - 2, bottom = (int64_t)ceil(fmax(y0, y1)) + 2;
  for (int64_t y = top; y <= bottom; y++)
    for (int64_t x = left; x <= right; x++) {
      double t = length > 0 ? (((double)x - x0) * dx + ((double)y - y0) * dy) / length : 0;
      t = t < 0 ? 0 : t > 1 ? 1 : t;
      double cover = 1.5 - hypot((double)x - x0 - t * dx, (double)y - y0 - t * dy);
      if (cover > 0)
        blend(c, x, y, ink, cover < 1 ? cover : 1);
    }
}

static int64_t text_width(const char *text) {
  return (int64_t)strlen(text) * FONT_ADVANCE * SCALE;
}

static void write_text(chart *c, int64_t x, int64_t y, const char *text, colour ink) {
  for (; *text; text++, x += FONT_ADVANCE * SCALE)
    for (int j = 0; j < FONT_HEIGHT; j++)
      for (int i = 0; i < FONT_WIDTH; i++)
        if (font_dot(*text, i, j))
          box(c, x + i * SCALE, y + j * SCALE, SCALE, SCALE, ink);
}

/* ---- axes ------------------------------------------------------------------------------------ */

/* 1, 2 or 5 times a power of ten, for about TICKS steps. */
static double round_step(double range) {
  double raw = range / TICKS, power = pow(10.0, floor(log10(raw))), first = raw / power;
  return power * (first <= 1 ? 1 : first <= 2 ? 2 : first <= 5 ? 5 : 10);
}

static axis make_axis(double low, double high) {
  axis a = {low, high, 1};
  if (!(high > low)) {
    a.low = low - 0.5;
    a.high = low + 0.5;
  }
  a.step = round_step(a.high - a.low);
  a.low = floor(a.low / a.step) * a.step;
  a.high = ceil(a.high / a.step) * a.step;
  return a;
}

static double place_x(const chart *c, double x) {
  return LEFT + (x - c->x.low) / (c->x.high - c->x.low) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const chart *c, double y) {
  return HEIGHT - BOTTOM - (y - c->y.low) / (c->y.high - c->y.low) * (HEIGHT - TOP - BOTTOM);
}

/* Besides the one at the low end. */
static int tick_count(const axis *a) {
  return (int)lround((a->high - a->low) / a->step);
}

static void draw_axes(chart *c) {
  char label[32];
  for (int k = 0; k <= tick_count(&c->x); k++) {
    double v = c->x.low + k * c->x.step;
    int64_t x = lround(place_x(c, v));
    box(c, x, TOP, 1, HEIGHT - TOP - BOTTOM, grey);
    snprintf(label, sizeof label, "%.6g", fabs(v) < c->x.step / 1e6 ? 0.0 : v);
    write_text(c, x - text_width(label) / 2, HEIGHT - BOTTOM + 12, label, black);
  }
  for (int k = 0; k <= tick_count(&c->y); k++) {
    double v = c->y.low + k * c->y.step;
    int64_t y = lround(place_y(c, v));
    box(c, LEFT, y, WIDTH - LEFT - RIGHT, 1, grey);
    snprintf(label, sizeof label, "%.4g", fabs(v) < c->y.step / 1e6 ? 0.0 : v);
    write_text(c, LEFT - 10 - text_width(label), y - FONT_HEIGHT, label, black);
  }
  box(c, LEFT, TOP, 2, HEIGHT - TOP - BOTTOM, black);
  box(c, LEFT, HEIGHT - BOTTOM, WIDTH - LEFT - RIGHT, 2, black);
}

/* ---- series ---------------------------------------------------------------------------------- */

/* Range of all finite points. */
static bool find_range(const picture_series *series, int64_t count, axis *x, axis *y) {
  double low_x = INFINITY, high_x = -INFINITY, low_y = INFINITY, high_y = -INFINITY;
  for (int64_t s = 0; s < count; s++)
    for (int64_t i = 0; i < series[s].count; i++) {
      double px = series[s].x[i], py = series[s].y[i];
      if (!isfinite(px) || !isfinite(py))
        continue;
      low_x = fmin(low_x, px);
      high_x = fmax(high_x, px);
      low_y = fmin(low_y, py);
      high_y = fmax(high_y, py);
    }
  if (!(low_x <= high_x))
    return false;
  *x = make_axis(low_x, high_x);
  *y = make_axis(low_y, high_y);
  return true;
}

static void draw_series(chart *c, const picture_series *s, colour ink) {
  int64_t last = -1;
  for (int64_t i = 0; i < s->count; i++) {
    if (!isfinite(s->x[i]) || !isfinite(s->y[i]))
      continue;
    int64_t from = last < 0 ? i : last;
    segment(c, place_x(c, s->x[from]), place_y(c, s->y[from]), place_x(c, s->x[i]),
            place_y(c, s->y[i]), ink);
    last = i;
  }
}

static void draw_legend(chart *c, const picture_series *series, int64_t count) {
  int64_t width = 0;
  for (int64_t s = 0; s < count; s++)
    width = text_width(series[s].name) > width ? text_width(series[s].name) : width;
  for (int64_t s = 0; s < count; s++) {
    int64_t x = WIDTH - RIGHT - width - 10, y = TOP + 12 + s * 24;
    box(c, x - 40, y + FONT_HEIGHT - 1, 30, 3, palette[s % COLOURS]);
    write_text(c, x, y, series[s].name, black);
  }
}

bool picture_write_chart(const char *path, const char *title, const char *x_label,
                         const char *y_label, const picture_series *series, int64_t count,
                         char *error, size_t error_size) {
  chart c = {.pixels = malloc((size_t)WIDTH * HEIGHT * 3)};
  if (!c.pixels) {
    snprintf(error, error_size, "cannot write '%s': out of memory", path);
    return false;
  }
  memset(c.pixels, 255, (size_t)WIDTH * HEIGHT * 3);
  if (!find_range(series, count, &c.x, &c.y))
    c.x = c.y = make_axis(0, 1);
  draw_axes(&c);
  for (int64_t s = 0; s < count; s++)
    draw_series(&c, &series[s], palette[s % COLOURS]);
  draw_legend(&c, series, count);
  write_text(&c, (WIDTH - text_width(title)) / 2, 14, title, black);
  write_text(&c, (WIDTH - text_width(x_label)) / 2, HEIGHT - 26, x_label, black);
  write_text(&c, 12, TOP - 32, y_label, black);
  bool ok = picture_write_png(path, WIDTH, HEIGHT, 3, c.pixels, error, error_size);
  free(c.pixels);
  return ok;
}
