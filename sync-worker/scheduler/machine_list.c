/* machine_list.c - the machines that are pulled, between pulls; see machine_list.h */
#include "machine_list.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

static void machine_free(struct machine *machine)
{
    free(machine->name);
    free(machine->etag);
    free(machine);
}

/* Keeps those that are listed; uthash frees nothing, so the list of all is still whole. */
static void keep(struct machine_list *list, bool (*is_kept)(const struct machine *machine))
{
    struct machine *machine = list->table, *next;
    HASH_CLEAR(hh, list->table);
    for (; machine; machine = next) {
        next = machine->hh.next;
        if (is_kept(machine))
            HASH_ADD_INT(list->table, id, machine);
        else
            machine_free(machine);
    }
}

static bool is_listed(const struct machine *machine)
{
    return machine->listed;
}

static bool none(const struct machine *machine)
{
    (void)machine;
    return false;
}

void machine_list_begin(struct machine_list *list)
{
    for (struct machine *machine = list->table; machine; machine = machine->hh.next)
        machine->listed = false;
}

struct machine *machine_list_add(struct machine_list *list, const struct machine_name *listed)
{
    struct machine *machine;
    HASH_FIND_INT(list->table, &listed->id, machine);
    if (!machine) {
        machine = xcalloc(1, sizeof *machine);
        machine->id = listed->id;
        machine->name = xstrdup(listed->name);
        HASH_ADD_INT(list->table, id, machine);
    } else if (strcmp(machine->name, listed->name) != 0) { /* what is known is of another */
        machine_forget(machine);
        free(machine->name);
        machine->name = xstrdup(listed->name);
    }
    machine->listed = true;
    return machine;
}

void machine_list_end(struct machine_list *list)
{
    keep(list, is_listed);
}

void machine_list_clear(struct machine_list *list)
{
    keep(list, none);
}

void machine_remember(struct machine *machine, const struct answer *answer, const char *etag)
{
    machine_forget(machine);
    machine->answer = *answer;
    if (*etag)
        machine->etag = xstrdup(etag);
}

void machine_forget(struct machine *machine)
{
    free(machine->etag);
    machine->etag = NULL;
    machine->answer = (struct answer){0};
}
