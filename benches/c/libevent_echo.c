/* One-threaded echo server on libevent's plain events: [buf=BYTES]. cc -O2 libevent_echo.c -levent */
#include "echo.h"
#include <event2/event.h>

static struct event_base *base;

struct connection {
	struct event *event;
	short waits;
	struct echo echo;
};

/* Reads or, while something is left to write, writes. */
static void on_ready(evutil_socket_t fd, short what, void *self)
{
	struct connection *c = self;
	short waits = EV_READ;
	switch (echo_step(&c->echo, fd)) {
	case ECHO_READS:
		break;
	case ECHO_WRITES:
		waits = EV_WRITE;
		break;
	case ECHO_ENDED:
		event_free(c->event);
		close(fd);
		free(c);
		return;
	}
	if (waits != c->waits) {
		event_del(c->event);
		event_assign(c->event, base, fd, waits | EV_PERSIST, on_ready, c);
		event_add(c->event, NULL);
		c->waits = waits;
	}
}

static void on_accept(evutil_socket_t l, short what, void *arg)
{
	struct connection *c;
	int fd = echo_accept(l);
	if (fd < 0)
		return;
	c = malloc(sizeof *c + echo_size);
	c->echo.left = 0;
	c->waits = EV_READ;
	c->event = event_new(base, fd, EV_READ | EV_PERSIST, on_ready, c);
	event_add(c->event, NULL);
}

int main(int argc, char **argv)
{
	base = event_base_new();
	event_add(event_new(base, echo_listen(argc, argv), EV_READ | EV_PERSIST, on_accept, NULL), NULL);
	return event_base_dispatch(base);
}
