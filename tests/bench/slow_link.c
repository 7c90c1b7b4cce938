/* Slow links between network namespaces, for network.sh. Each namespace has a TUN interface, and
 * what leaves by it goes to the namespace that it is addressed to, at a set rate and after a set
 * delay. A packet of n bytes has left at
 *
 *   end = max(now, end of the packet before) + 8 n / rate,
 *
 * and arrives at end + delay. Nothing is lost. (Kernels have this as tc's netem; not all do.)
 *
 * Usage: slow_link BITS_PER_SECOND SECONDS INTERFACE NAMESPACE ... Rate 0: no limit. The last byte
 * of the namespaces' addresses is 1, 2, ... in this order. It runs until it is killed.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 1 << 16, PACKETS = 4096, MOST = 16 };

typedef struct packet {
  int64_t due; /* ns */
  ssize_t bytes;
  int to;
  unsigned char data[PACKET];
} packet;

/* What a namespace sends. */
typedef struct way_out {
  int file;
  int64_t end; /* when the last packet has left, ns */
  packet *packets;
  uint64_t first, next; /* those under way are first to next - 1, modulo PACKETS */
} way_out;

typedef struct network {
  double rate; /* bits per second */
  int64_t delay;
  int count;
  way_out out[MOST];
} network;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* This process stays in the last namespace that it has entered: it opens nothing else. */
static int open_interface(const char *interface, const char *namespace) {
  char path[256];
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  snprintf(path, sizeof path, "/run/netns/%s", namespace);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
  int space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) != 0)
    fail(path);
  close(space);
  int file = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (file < 0 || ioctl(file, TUNSETIFF, &request) != 0)
    fail("/dev/net/tun");
  return file;
}

/* Number of the namespace that an IPv4 packet is addressed to; -1: to none, such as IPv6. */
static int destination(const network *n, const packet *p) {
  if (p->bytes < 20 || p->data[0] >> 4 != 4 || p->data[19] < 1 || p->data[19] > n->count)
    return -1;
  return p->data[19] - 1;
}

static int64_t when_left(const network *n, const way_out *o, ssize_t bytes) {
  int64_t at = now();
  if (!(n->rate > 0.0))
    return at;
  return (o->end > at ? o->end : at) + (int64_t)(8e9 * (double)bytes / n->rate);
}

/* Takes in what has been sent. What finds no room waits in the interface. */
static void take(const network *n, way_out *o) {
  while (o->next - o->first < PACKETS) {
    packet *p = &o->packets[o->next % PACKETS];
    p->bytes = read(o->file, p->data, PACKET);
    if (p->bytes <= 0)
      return;
    p->to = destination(n, p);
    if (p->to < 0)
      continue;
    o->end = when_left(n, o, p->bytes);
    p->due = o->end + n->delay;
    o->next++;
  }
}

/* Hands on what is due. Returns when the next packet is, or `never`. */
static int64_t give(const network *n, way_out *o, int64_t never) {
  for (; o->first < o->next; o->first++) {
    const packet *p = &o->packets[o->first % PACKETS];
    if (p->due > now())
      return p->due;
    if (write(n->out[p->to].file, p->data, (size_t)p->bytes) < 0)
      perror("a packet is lost");
  }
  return never;
}

static void sleep_until(const network *n, int64_t due) {
  struct pollfd files[MOST];
  int64_t left = due - now();
  const struct timespec wait = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};
  for (int i = 0; i < n->count; i++)
    files[i] = (struct pollfd){n->out[i].file, POLLIN, 0};
  ppoll(files, (nfds_t)n->count, &wait, NULL);
}

static void run(network *n) {
  for (;;) {
    int64_t due = now() + 1000000000;
    for (int i = 0; i < n->count; i++) {
      take(n, &n->out[i]);
      int64_t next = give(n, &n->out[i], due);
      due = next < due ? next : due;
    }
    sleep_until(n, due);
  }
}

int main(int argc, char **argv) {
  static network n;
  const struct sched_param first = {1};
  n.count = argc - 4;
  if (n.count < 2 || n.count > MOST) {
    fprintf(stderr, "usage: slow_link BITS_PER_SECOND SECONDS INTERFACE NAMESPACE ... (2 to %d)\n",
            MOST);
    return 2;
  }
  n.rate = atof(argv[1]);
  n.delay = (int64_t)(1e9 * atof(argv[2]));
  for (int i = 0; i < n.count; i++) {
    n.out[i].file = open_interface(argv[3], argv[4 + i]);
    n.out[i].packets = calloc(PACKETS, sizeof(packet));
    if (!n.out[i].packets)
      fail("memory");
  }
  if (sched_setscheduler(0, SCHED_FIFO, &first) != 0) /* a network does not wait for processors */
    perror("going before the ranks");
  run(&n);
}
