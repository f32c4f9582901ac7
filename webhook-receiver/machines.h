/*
 * machines.h - which machines there are, as PostgreSQL last said
 *
 * The list is read every receiver.machines_refresh_s, and again when somebody names a machine that
 * is not in it. Without PostgreSQL the old list still knows what it knows, and cannot say of the
 * rest.
 */
#ifndef MTC_MACHINES_H
#define MTC_MACHINES_H

#include "hook_body.h"
#include "suite/service.h"

struct machines;

enum machines_answer { MACHINE_KNOWN, MACHINE_UNKNOWN, MACHINE_CANT_SAY };

/* NULL with a message if PostgreSQL's address can't be used. */
struct machines *machines_new(struct service *service, char *error, size_t error_size);
void machines_free(struct machines *machines);

/*
 * id is set if it is known. MACHINE_UNKNOWN from a list that is older than a second is worth a
 * second look: see machines_is_fresh() and machines_look_again().
 */
enum machines_answer machines_find(const struct machines *machines, const struct hook_body *body,
                                   int *id);
bool machines_is_fresh(const struct machines *machines);

/*
 * done is called once when the list has been read again, or can't be. False: PostgreSQL is not
 * there.
 */
bool machines_look_again(struct machines *machines, void (*done)(void *arg), void *arg);
/* done will not be called for this arg. */
void machines_forget(struct machines *machines, const void *arg);

#endif
