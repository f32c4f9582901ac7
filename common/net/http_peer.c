/* http_peer.c - whose a connection of libmicrohttpd's is; see http_peer.h */
#include "net/http_peer.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define NETWORK_BYTES 8  /* of an address of IPv6: the rest its owner chooses at will */
#define MAPPED_AT     12 /* where it holds one of IPv4, if it does */

static void name_v4(const void *address, char out[HTTP_PEER_BYTES])
{
    if (!inet_ntop(AF_INET, address, out, HTTP_PEER_BYTES))
        *out = '\0';
}

static void name_v6(const struct in6_addr *address, char out[HTTP_PEER_BYTES])
{
    struct in6_addr network = *address;
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        name_v4(&address->s6_addr[MAPPED_AT], out);
        return;
    }
    memset(&network.s6_addr[NETWORK_BYTES], 0, sizeof network.s6_addr - NETWORK_BYTES);
    if (!inet_ntop(AF_INET6, &network, out, HTTP_PEER_BYTES))
        *out = '\0';
}

void http_peer_name(struct MHD_Connection *connection, char out[HTTP_PEER_BYTES])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    *out = '\0';
    if (address && address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        name_v4(&v4.sin_addr, out);
    } else if (address && address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        name_v6(&v6.sin6_addr, out);
    }
}
