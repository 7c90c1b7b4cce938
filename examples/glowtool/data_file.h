/* A file that is read by place, plain or gzip-compressed. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_FILE_H
#define GLOWTOOL_DATA_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where messages go. data_fail() writes one and returns false. */
typedef struct message {
  char *text;
  size_t size;
} message;
__attribute__((format(printf, 2, 3))) bool data_fail(message error, const char *format, ...);

typedef struct data_file {
  char *path;
  int descriptor;
  bool packed;
  int64_t size;      /* of the plain file */
  uint8_t *unpacked; /* of a compressed one: as far as it was needed */
  int64_t have, room;
  void *stream; /* of zlib; NULL: it has come to its end */
} data_file;

/* The first bytes of a file show whether it is compressed. */
bool data_file_open(data_file *f, const char *path, message error);
/* Exactly `bytes` bytes at `offset`; a file that ends before is truncated. */
bool data_file_read(data_file *f, int64_t offset, void *buffer, size_t bytes, message error);
/* At most `bytes` bytes at `offset`; *got: how many there are. */
bool data_file_some(data_file *f, int64_t offset, void *buffer, size_t bytes, size_t *got,
                    message error);
/* Size of what is in the file: a compressed one is unpacked for that. */
bool data_file_size(data_file *f, int64_t *size, message error);
void data_file_close(data_file *f);

/* A whole file in memory, unpacked, followed by a NUL that is not counted. Release with free. */
typedef struct file_bytes {
  uint8_t *data;
  size_t size;
} file_bytes;
bool data_read_whole(const char *path, file_bytes *out, message error);

#endif
