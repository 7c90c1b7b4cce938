/* Fuzz target: the tool's decoders of PNG, JPEG and WebP, and what they share. The first HEAD bytes
 * of the input choose how the picture is wanted, the rest is the file. A decoded picture has the
 * shape that was wanted, or else the one that its header says; and the same pixels again. All
 * memory that was counted is given back. SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "memory.h"

enum {
  HEAD = 2,
  MOST_PIXELS = 1 << 18, /* larger ones only take longer */
  MOST_MIB = 32
};

static bool decode(const file_bytes *file, const image_form *form, image *out) {
  char text[600] = "";
  message error = {text, sizeof text};
  int64_t left = memory_left();
  bool ok = image_decode("picture", file, form, out, error);
  if (fuzz_traces())
    fprintf(stderr, "%s: %lld x %lld x %lld\n", ok ? "decoded" : text, (long long)out->height,
            (long long)out->width, (long long)out->channels);
  PROMISE(ok || strncmp(text, "picture: ", 9) == 0);
  PROMISE(ok || !out->pixels);
  PROMISE(memory_left() == left);
  return ok;
}

static void check(const file_bytes *file, image_form form) {
  image header, first, second;
  form.header_only = true;
  if (!decode(file, &form, &header))
    return;
  PROMISE(!header.pixels && (header.channels == 1 || header.channels == 3));
  PROMISE(header.height > 0 && header.height <= IMAGE_SIDE);
  PROMISE(header.width > 0 && header.width <= IMAGE_SIDE);
  PROMISE(header.height * header.width <= MOST_PIXELS);
  form.header_only = false;
  if (!decode(file, &form, &first))
    return;
  PROMISE(first.height == (form.height ? form.height : header.height));
  PROMISE(first.width == (form.width ? form.width : header.width));
  PROMISE(first.channels == (form.channels ? form.channels : header.channels));
  PROMISE(decode(file, &form, &second));
  PROMISE(memcmp(first.pixels, second.pixels,
                 (size_t)(first.height * first.width * first.channels)) == 0);
  free(first.pixels);
  free(second.pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t backgrounds[][3] = {{255, 255, 255}, {0, 0, 0}, {1, 128, 254}};
  static const int64_t sides[] = {0, 1, 2, 3, 5, 8, 16, 31};
  image_form form = {.max_pixels = MOST_PIXELS};
  if (size < HEAD)
    return 0;
  memory_limit(MOST_MIB);
  memcpy(form.background, backgrounds[data[0] % 3], sizeof form.background);
  form.channels = data[0] & 64 ? 1 : data[0] & 128 ? 3 : 0;
  if (data[1]) {
    form.height = sides[data[1] % 7 + 1];
    form.width = sides[data[1] / 7 % 7 + 1];
  }
  /* data_read_whole gives a file with a NUL behind it */
  file_bytes file = {malloc(size - HEAD + 1), size - HEAD};
  PROMISE(file.data);
  memcpy(file.data, data + HEAD, file.size);
  file.data[file.size] = 0;
  check(&file, form);
  exif_orientation(file.data, file.size);
  free(file.data);
  return 0;
}
