/*
 * status.h - what the parts of mtcctl status and mtcctl top share: how things stand, as JSON
 *
 * An object with version, at, postgres, events, cycle_run, rabbitmq and programs. A part that could
 * not be asked is an object with nothing but error.
 */
#ifndef MTC_STATUS_H
#define MTC_STATUS_H

#include "ctl.h"

#include <jansson.h>

/* Asks everything; connects where it is not connected. Caller frees. */
json_t *status_collect(struct ctl *ctl);

/* Why a part could not be asked; NULL if it could. */
const char *status_error(const json_t *part);

/* One screen, for people. */
void status_print(const json_t *status);

#endif
