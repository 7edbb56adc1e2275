/* What both C servers share: the listener, and one step of a connection that does not block. */
#ifndef ECHO_H
#define ECHO_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum echo_state { ECHO_READS, ECHO_WRITES, ECHO_ENDED };

/* Of what was read, `left` bytes from `from` on have found no room yet; the buffer follows. */
struct echo {
	size_t from, left;
	char buf[];
};

static size_t echo_size = 16384;

static inline enum echo_state echo_step(struct echo *e, int fd)
{
	ssize_t n;
	if (!e->left) {
		n = read(fd, e->buf, echo_size);
		if (n < 0 && errno == EAGAIN)
			return ECHO_READS;
		if (n <= 0)
			return ECHO_ENDED;
		e->from = 0;
		e->left = n;
	}
	n = write(fd, e->buf + e->from, e->left);
	if (n < 0 && errno != EAGAIN)
		return ECHO_ENDED;
	if (n > 0) {
		e->from += n;
		e->left -= n;
	}
	return e->left ? ECHO_WRITES : ECHO_READS;
}

static inline int echo_accept(int l)
{
	int one = 1, fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* Reads the arguments, prints the port; the process ends by itself if nobody kills it. */
static inline int echo_listen(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	struct rlimit r;
	unsigned limit = 600;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "buf=", 4))
			echo_size = strtoul(argv[i] + 4, NULL, 10);
		if (!strncmp(argv[i], "limit=", 6))
			limit = strtoul(argv[i] + 6, NULL, 10);
	}
	alarm(limit);
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (bind(l, (void *)&a, n) || listen(l, 1024) || getsockname(l, (void *)&a, &n)) {
		perror("listen");
		exit(1);
	}
	printf("{\"port\":%d}\n", ntohs(a.sin_port));
	fflush(stdout);
	return l;
}

#endif
