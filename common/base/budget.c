/* budget.c - memory that several clients share, in bytes; see budget.h */
#include "base/budget.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct client {
    char *name;
    size_t held; /* never 0: it is forgotten then */
    UT_hash_handle hh;
};

struct budget {
    size_t most, held;
    struct client *clients;
};

struct budget *budget_new(size_t most)
{
    struct budget *budget = xcalloc(1, sizeof *budget);
    budget->most = most;
    return budget;
}

static void client_free(struct client *client)
{
    free(client->name);
    free(client);
}

void budget_free(struct budget *budget)
{
    if (!budget)
        return;
    struct client *client = budget->clients, *next;
    HASH_CLEAR(hh, budget->clients); /* lets go of them all; their list is still whole */
    for (; client; client = next) {
        next = client->hh.next;
        client_free(client);
    }
    free(budget);
}

static bool fits(size_t held, size_t bytes, size_t most)
{
    return held == 0 || (bytes <= most && held <= most - bytes);
}

static struct client *add_client(struct budget *budget, const char *name)
{
    struct client *client = xcalloc(1, sizeof *client);
    client->name = xstrdup(name);
    HASH_ADD_KEYPTR(hh, budget->clients, client->name, strlen(client->name), client);
    return client;
}

bool budget_take(struct budget *budget, const char *name, size_t bytes)
{
    struct client *client;
    HASH_FIND_STR(budget->clients, name, client);
    if (bytes == 0)
        return true;
    if (!fits(budget->held, bytes, budget->most) ||
        !fits(client ? client->held : 0, bytes, budget->most / 4))
        return false;
    if (!client)
        client = add_client(budget, name);
    client->held += bytes;
    budget->held += bytes;
    return true;
}

void budget_give_back(struct budget *budget, const char *name, size_t bytes)
{
    struct client *client;
    HASH_FIND_STR(budget->clients, name, client);
    if (bytes == 0)
        return;
    if (!client || client->held < bytes)
        abort(); /* nobody took it: our bug */
    client->held -= bytes;
    budget->held -= bytes;
    if (client->held == 0) {
        HASH_DEL(budget->clients, client);
        client_free(client);
    }
}

size_t budget_held(const struct budget *budget)
{
    return budget->held;
}
