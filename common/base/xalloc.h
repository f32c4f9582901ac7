/*
 * xalloc.h - allocation that never returns NULL
 *
 * A daemon of a few MiB that cannot get another block is on a machine that is beyond help; every
 * function here logs one line and aborts instead of handing an error to code that could do nothing
 * with it. Ownership: the caller frees with free(3).
 */
#ifndef MTC_XALLOC_H
#define MTC_XALLOC_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *block, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);

/* printf into a fresh string. */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where uthash and friends end up when malloc fails; see xalloc.c. */
_Noreturn void out_of_memory(size_t wanted);

#endif
