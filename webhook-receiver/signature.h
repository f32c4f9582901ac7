/*
 * signature.h - is this web-hook from who knows the secret, and from now?
 *
 * Two schemes, both HMAC-SHA-256 over a time and the body:
 *
 *   Standard Webhooks  webhook-id, webhook-timestamp (Unix seconds), and
 *                      webhook-signature: "v1,<base64>", several with spaces between;
 *                      signed is "<id>.<timestamp>.<body>"
 *   plain              X-Timestamp (Unix seconds), and
 *                      X-Signature: "sha256=<hex>";
 *                      signed is "<timestamp>.<body>"
 *
 * A secret that begins with "whsec_" is base64 behind that, as the standard has it; any other is
 * its own bytes. Two may be good at once, so that a secret can be changed. Digests are compared in
 * constant time.
 *
 * Sources: RFC 2104 (HMAC), and
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
#ifndef MTC_SIGNATURE_H
#define MTC_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_SECRETS 2

struct signature_secret {
    unsigned char *bytes; /* owned; NULL: none */
    size_t len;
};

struct signature_headers { /* values; NULL where absent */
    const char *id, *timestamp, *standard;
    const char *plain_timestamp, *plain;
};

enum signature_verdict {
    SIGNATURE_GOOD,
    SIGNATURE_MISSING,
    SIGNATURE_MALFORMED,
    SIGNATURE_STALE,
    SIGNATURE_WRONG
};

/* Takes a secret as it stands in its file. False if it is "whsec_" and no base64. */
bool signature_secret_set(struct signature_secret *secret, const char *text);
void signature_secret_clear(struct signature_secret *secret);

enum signature_verdict signature_check(const struct signature_secret secrets[SIGNATURE_SECRETS],
                                       const struct signature_headers *headers, const char *body,
                                       size_t len, int64_t now_s, int64_t tolerance_s);

/* In words, for the answer. */
const char *signature_problem(enum signature_verdict verdict);

#endif
