/* What glowtool's files share: exit codes, messages and the context.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_TOOL_H
#define GLOWTOOL_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glow/glow.h>

/* What the program returns. A full disk counts as bad input: the caller has to act. */
enum {
  TOOL_FINE = 0,
  TOOL_FAILED = 1,     /* failed while running: numbers not finite, memory, stopped too early */
  TOOL_BAD = 2,        /* bad usage or input, or a file that could not be written */
  TOOL_UNEXPECTED = 3, /* a bug */
  TOOL_STOPPED = 4     /* by a signal, which the program then ends by: stop.h */
};

/* ---- messages -------------------------------------------------------------------------------- */

/* "glowtool: TEXT" to stderr, with control characters made visible. Returns TOOL_BAD. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);
/* The same without a verdict. */
__attribute__((format(printf, 1, 2))) void mention(const char *format, ...);
/* The same, also where messages are held. */
__attribute__((format(printf, 1, 2))) void announce(const char *format, ...);

/* On ranks other than 0 (ranks.h) messages are held: those of complain are kept, the others are
 * dropped, since rank 0 has them too. */
enum { MESSAGE_BYTES = 4096 };
void messages_hold(void);
/* The last text of complain since the last messages_forget, "" if there was none. */
const char *messages_last(void);
void messages_forget(void);
/* Prints it, if it was held, with its rank; -1: without, and from here on nothing is held. */
void messages_release(int32_t rank);

/* Tells of a failure to read or write. `number`, an errno, is its cause: ENOMEM is no bad input.
 * Returns the exit code. */
int complain_failure(const char *text, int number);
/* Tells what the library's last error was; `doing` may be NULL. Returns the exit code for it. */
int complain_status(glow_status status, const char *doing);

/* Copies text for people: control characters, and bytes that are not UTF-8, become \xNN. `size` is
 * that of `out`; longer text is cut. Returns out. */
char *visible(const char *text, char *out, size_t size);
/* Length of the well-formed UTF-8 sequence at `text`, 0 when there is none. */
int utf8_length(const char *text);
/* "44.6 M", "3.2 GiB": a count or a number of bytes, for people. */
const char *short_count(double count, char out[32]);
const char *short_bytes(double bytes, char out[32]);

/* ---- the library ----------------------------------------------------------------------------- */

/* threads 0: usable_cpus of cpus.h. kernels NULL: $GLOW_KERNELS, or the best. products:
 * GLOW_PRODUCTS_, of product_types. Returns an exit code. */
int open_context(int64_t threads, const char *kernels, int64_t products, glow_context **out);
/* "float32" or "bfloat16". */
const char *products_name(const glow_context *context);
/* Memory that passes of `mode` on `batch` samples take. */
int workspace_bytes(const glow_model *model, int64_t batch, int32_t mode, uint64_t *out);

#endif
