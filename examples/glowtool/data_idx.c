/* IDX files of images, as of MNIST (http://yann.lecun.com/exdb/mnist) and EMNIST: big-endian magic
 * number, counts, then bytes. SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "data_internal.h"

enum { IMAGES = 0x803, HEADER = 16, LARGEST = 4096 };

typedef struct idx {
  data_file file;
  bool transposed; /* EMNIST's images lie on their side, mirrored */
} idx;

static uint32_t big_endian(const uint8_t *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void transpose(const uint8_t *from, int64_t height, int64_t width, uint8_t *to) {
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++)
      to[y * width + x] = from[x * height + y];
}

static bool read_image(data_reader *r, int64_t index, data_sample *out, message error) {
  idx *f = r->state;
  int64_t size = r->height * r->width, at = HEADER + index * size;
  if (!data_sample_shape(out, r->height, r->width, 1, false, r->path, error))
    return false;
  if (!f->transposed)
    return data_file_read(&f->file, at, out->data, (size_t)size, error);
  uint8_t *stored = malloc((size_t)size);
  if (!stored)
    return data_fail(error, "%s: out of memory", r->path);
  bool ok = data_file_read(&f->file, at, stored, (size_t)size, error);
  if (ok)
    transpose(stored, r->height, r->width, out->data);
  free(stored);
  return ok;
}

static void close_idx(data_reader *r) {
  idx *f = r->state;
  data_file_close(&f->file);
  free(f);
}

static const data_reader_ops idx_ops = {read_image, NULL, NULL, close_idx};

/* The length of a plain file is known; a compressed one is unpacked no further than wanted, and
 * what is behind the last image is looked at only when that is wanted too. */
static bool check_length(const data_reader *r, idx *f, int64_t images, message error) {
  int64_t wanted = HEADER + images * r->height * r->width, size = 0;
  if (f->file.packed && r->count < images)
    return true;
  if (!data_file_size(&f->file, &size, error))
    return false;
  if (size < wanted)
    return data_fail(error, "%s: truncated: %lld bytes where %lld images need %lld", r->path,
                     (long long)size, (long long)images, (long long)wanted);
  if (size > wanted)
    return data_fail(error, "%s: %lld bytes too many after byte %lld", r->path,
                     (long long)(size - wanted), (long long)wanted);
  return true;
}

static bool read_header(data_sources *s, data_reader *r, idx *f, message error) {
  uint8_t header[HEADER];
  size_t got = 0;
  if (!data_file_some(&f->file, 0, header, sizeof header, &got, error))
    return false;
  if (got < HEADER || big_endian(header) != IMAGES)
    return data_fail(error, "%s: not an IDX file of images: it does not start with 0x%08x", r->path,
                     IMAGES);
  int64_t images = big_endian(header + 4);
  r->height = big_endian(header + 8);
  r->width = big_endian(header + 12);
  if (r->height < 1 || r->width < 1 || r->height > LARGEST || r->width > LARGEST)
    return data_fail(error, "%s: images of %lld x %lld in bytes 8 to 15; 1 to %d a side are read",
                     r->path, (long long)r->width, (long long)r->height, LARGEST);
  if (!data_check_image(s, r, error))
    return false;
  if (images == 0)
    return data_fail(error, "%s: no images: the count at byte 4 is 0", r->path);
  r->count = images > data_left(s) ? data_left(s) : images;
  return check_length(r, f, images, error);
}

bool data_open_idx(data_sources *s, const char *path, bool emnist, message error) {
  idx *f = malloc(sizeof *f);
  if (!f || !data_file_open(&f->file, path, error)) {
    free(f);
    return f ? false : data_fail(error, "%s: out of memory", path);
  }
  f->transposed = emnist;
  data_reader r = {.ops = &idx_ops, .path = f->file.path, .state = f, .channels = 1};
  if (!read_header(s, &r, f, error)) {
    close_idx(&r);
    return false;
  }
  if (emnist) { /* stored with rows and columns exchanged */
    int64_t height = r.height;
    r.height = r.width;
    r.width = height;
    data_note(s, "%s: EMNIST: images are transposed, because its files hold them on their side",
              path);
  }
  return data_add(s, &r, error);
}
