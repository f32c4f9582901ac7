/*
 * http_peer.h - whose a connection of libmicrohttpd's is
 *
 * For http_server.c.
 */
#ifndef MTC_HTTP_PEER_H
#define MTC_HTTP_PEER_H

#define HTTP_PEER_BYTES 48

struct MHD_Connection;

/* The address without the port, of IPv6 the first 64 bits; "" if it has none. */
void http_peer_name(struct MHD_Connection *connection, char out[HTTP_PEER_BYTES]);

#endif
