/*
 * ready.h - mtcctl ready: is a program on this machine ready?
 */
#ifndef MTC_READY_H
#define MTC_READY_H

#include "suite/config.h"

/* Exit status: 0 ready, 1 not, 2 wrong usage. What is missing is printed. */
int ready_main(const struct config *config, int argc, char **argv);

#endif
