/*
 * secret.h - secrets come from files, and leave no program
 */
#ifndef MTC_SECRET_H
#define MTC_SECRET_H

#include <stddef.h>

/*
 * First line of the file at path, without its line end, in fresh memory. NULL with a message in
 * error when it can't be read, is empty or is longer than 4096 bytes.
 */
char *secret_read(const char *path, char *error, size_t error_size);

/* A copy of a URL or connection string with each password in it replaced by "***". Caller frees. */
char *secret_redact(const char *text);

#endif
