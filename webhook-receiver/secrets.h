/*
 * secrets.h - the secrets web-hooks are signed with, from their files
 *
 * Two may be good at once (receiver.secret_file and receiver.second_secret_file), so that a secret
 * can be changed while web-hooks come in. The receiver reads them when it starts and at SIGHUP.
 */
#ifndef MTC_SECRETS_H
#define MTC_SECRETS_H

#include "signature.h"
#include "suite/config.h"

/*
 * False with a message if one can't be read or is malformed, or if none is named although
 * signatures are wanted; a secret that was not read stays what it was. With web-hooks or
 * signatures off nothing is read.
 */
bool secrets_read(struct signature_secret secrets[SIGNATURE_SECRETS], const struct config *config,
                  char *error, size_t error_size);
void secrets_clear(struct signature_secret secrets[SIGNATURE_SECRETS]);

#endif
