/* secrets.c - the secrets web-hooks are signed with, from their files; see secrets.h */
#include "secrets.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>

static bool read_one(struct signature_secret *secret, const char *path, char *error,
                     size_t error_size)
{
    if (!*path) {
        signature_secret_clear(secret);
        return true;
    }
    char *text = secret_read(path, error, error_size);
    if (!text)
        return false;
    bool ok = signature_secret_set(secret, text);
    if (!ok)
        snprintf(error, error_size, "%s: what follows whsec_ is no base64", path);
    free(text);
    return ok;
}

bool secrets_read(struct signature_secret secrets[SIGNATURE_SECRETS], const struct config *config,
                  char *error, size_t error_size)
{
    const char *first = config->receiver_secret_file, *second = config->receiver_second_secret_file;
    if (!config->receiver_use_webhook || !config->receiver_require_signature)
        return true;
    if (!*first && !*second) {
        snprintf(error, error_size,
                 "receiver.secret_file is not set: with use_webhook on, a secret is needed, "
                 "or require_signature = false");
        return false;
    }
    return read_one(&secrets[0], first, error, error_size) &&
           read_one(&secrets[1], second, error, error_size);
}

void secrets_clear(struct signature_secret secrets[SIGNATURE_SECRETS])
{
    for (int i = 0; i < SIGNATURE_SECRETS; i++)
        signature_secret_clear(&secrets[i]);
}
