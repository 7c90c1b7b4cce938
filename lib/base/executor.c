/* Running numbered tasks: serially, or on the context's executor. SPDX-License-Identifier: MIT */
#include "base/base.h"

void glow_context_run(glow_context *context, uint32_t tasks, glow_task_fn fn, void *arg) {
  const glow_executor *executor = &context->executor;
  if (executor->run && executor->workers > 1 && tasks > 1) {
    executor->run(executor->payload, fn, arg, tasks);
    return;
  }
  for (uint32_t t = 0; t < tasks; t++)
    fn(arg, t, 0);
}
