/*
 * listen.h - a listening socket for an address as people write it
 *
 * For http_server.c. The address is numeric, since a name that has to be looked up first is no
 * place to listen on: "127.0.0.1:80", "0.0.0.0:80", "[::1]:80". Port 0 picks a free one.
 */
#ifndef MTC_LISTEN_H
#define MTC_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A non-blocking socket, which the caller closes, with its port in *port; or -1 with a message.
 * share: several processes may listen on the address, and the kernel spreads connections among
 * them (SO_REUSEPORT, socket(7)).
 */
int listen_on(const char *address, bool share, unsigned *port, char *error, size_t error_size);

#endif
