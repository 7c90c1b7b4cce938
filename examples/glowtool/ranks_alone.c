/* A build without MPI. SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "ranks.h"
#include "tool.h"

int ranks_join(ranks *r, double timeout) {
  (void)r;
  (void)timeout;
  messages_forget();
  return complain("this was started on several ranks by MPI, but is built without it: build with "
                  "-Dmpi=enabled, or give --ranks none to run this process alone");
}

void ranks_leave(ranks *r) {
  (void)r;
}
