/* The order of bytes in numbers. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_BYTE_ORDER_H
#define GLOWTOOL_BYTE_ORDER_H

/* Is the most significant byte first in this machine's memory? */
enum { MACHINE_BIG_ENDIAN = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ };

#endif
