/* One-threaded echo server on ivykis: [buf=BYTES]. cc -O2 ivykis_echo.c -livykis */
#include "echo.h"
#include <iv.h>

struct connection {
	struct iv_fd fd;
	struct echo echo;
};

/* Reads or, while something is left to write, writes. */
static void on_ready(void *cookie)
{
	struct connection *c = cookie;
	switch (echo_step(&c->echo, c->fd.fd)) {
	case ECHO_READS:
		iv_fd_set_handler_out(&c->fd, NULL);
		iv_fd_set_handler_in(&c->fd, on_ready);
		break;
	case ECHO_WRITES:
		iv_fd_set_handler_in(&c->fd, NULL);
		iv_fd_set_handler_out(&c->fd, on_ready);
		break;
	case ECHO_ENDED:
		iv_fd_unregister(&c->fd);
		close(c->fd.fd);
		free(c);
	}
}

static void on_accept(void *cookie)
{
	struct iv_fd *l = cookie;
	struct connection *c;
	int fd = echo_accept(l->fd);
	if (fd < 0)
		return;
	c = malloc(sizeof *c + echo_size);
	IV_FD_INIT(&c->fd);
	c->fd.fd = fd;
	c->fd.cookie = c;
	c->fd.handler_in = on_ready;
	c->echo.left = 0;
	iv_fd_register(&c->fd);
}

int main(int argc, char **argv)
{
	static struct iv_fd l;
	iv_init();
	IV_FD_INIT(&l);
	l.fd = echo_listen(argc, argv);
	l.cookie = &l;
	l.handler_in = on_accept;
	iv_fd_register(&l);
	iv_main();
	return 0;
}
