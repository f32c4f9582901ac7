/* signature.c - is this web-hook from who knows the secret, and from now?; see signature.h */
#include "signature.h"
#include "base/xalloc.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST 32

/* Bytes decoded, or -1. out must have room for 3/4 of len, plus 3. */
static int from_base64(const char *text, size_t len, unsigned char *out)
{
    if (len == 0 || len % 4 != 0 || len > 4096)
        return -1;
    int decoded = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
    for (size_t i = len; decoded > 0 && i > len - 2 && text[i - 1] == '='; i--)
        decoded--;
    return decoded;
}

bool signature_secret_set(struct signature_secret *secret, const char *text)
{
    static const char prefix[] = "whsec_";
    size_t len = strlen(text), skip = sizeof prefix - 1;
    unsigned char *bytes = xmalloc(len + 4);
    int decoded = (int)len;
    if (strncmp(text, prefix, skip) == 0)
        decoded = from_base64(text + skip, len - skip, bytes);
    else
        memcpy(bytes, text, len); // NOLINT(bugprone-not-null-terminated-result): bytes, not text
    if (decoded <= 0) {
        free(bytes);
        return false;
    }
    signature_secret_clear(secret);
    secret->bytes = bytes;
    secret->len = (size_t)decoded;
    return true;
}

void signature_secret_clear(struct signature_secret *secret)
{
    if (secret->bytes)
        OPENSSL_cleanse(secret->bytes, secret->len);
    free(secret->bytes);
    *secret = (struct signature_secret){0};
}

static void digest_of(const struct signature_secret *secret, const char *text, size_t len,
                      unsigned char out[DIGEST])
{
    unsigned size = 0;
    if (!HMAC(EVP_sha256(), secret->bytes, (int)secret->len, (const unsigned char *)text, len, out,
              &size) ||
        size != DIGEST)
        out_of_memory(0); /* nothing else makes it fail */
}

static bool is_recent(const char *timestamp, int64_t now_s, int64_t tolerance_s)
{
    int64_t then = strtoll(timestamp, NULL, 10);
    return then >= now_s - tolerance_s && then <= now_s + tolerance_s;
}

static bool is_number(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len > 0 && len <= 12 && text[len] == '\0';
}

/* Any of the digests in "v1,<base64> v1,<base64>"; versions that are not v1 are somebody else's. */
static bool standard_matches(const char *list, const unsigned char expected[DIGEST])
{
    bool found = false;
    while (*list) {
        size_t len = strcspn(list, " ");
        unsigned char given[DIGEST + 4];
        if (len == 3 + 44 && strncmp(list, "v1,", 3) == 0 &&
            from_base64(list + 3, 44, given) == DIGEST)
            found |= CRYPTO_memcmp(given, expected, DIGEST) == 0;
        list += len;
        list += strspn(list, " ");
    }
    return found;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool plain_matches(const char *hex, const unsigned char expected[DIGEST])
{
    unsigned char given[DIGEST];
    if (strlen(hex) != (size_t)DIGEST * 2)
        return false;
    for (int i = 0; i < DIGEST; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        given[i] = (unsigned char)(high * 16 + low);
    }
    return CRYPTO_memcmp(given, expected, DIGEST) == 0;
}

/* "<id>.<timestamp>.<body>", or without an id (NULL) "<timestamp>.<body>". Caller frees. */
static char *join_signed(const char *id, const char *timestamp, const char *body, size_t len,
                         size_t *joined_len)
{
    size_t id_len = id ? strlen(id) : 0, time_len = strlen(timestamp);
    char *text = xmalloc(id_len + time_len + len + 3), *at = text;
    if (id) {
        memcpy(at, id, id_len); // NOLINT(bugprone-not-null-terminated-result): a part of a text
        at += id_len;
        *at++ = '.';
    }
    memcpy(at, timestamp, time_len); // NOLINT(bugprone-not-null-terminated-result): likewise
    at += time_len;
    *at++ = '.';
    memcpy(at, body, len);
    *joined_len = (size_t)(at - text) + len;
    return text;
}

enum signature_verdict signature_check(const struct signature_secret secrets[SIGNATURE_SECRETS],
                                       const struct signature_headers *headers, const char *body,
                                       size_t len, int64_t now_s, int64_t tolerance_s)
{
    static const char scheme[] = "sha256=";
    bool standard = headers->standard != NULL;
    const char *timestamp = standard ? headers->timestamp : headers->plain_timestamp;
    if (!headers->standard && !headers->plain)
        return SIGNATURE_MISSING;
    if (!timestamp || !is_number(timestamp) || (standard && (!headers->id || !*headers->id)) ||
        (!standard && strncmp(headers->plain, scheme, sizeof scheme - 1) != 0))
        return SIGNATURE_MALFORMED;
    if (!is_recent(timestamp, now_s, tolerance_s))
        return SIGNATURE_STALE;

    size_t signed_len;
    char *signed_text = join_signed(standard ? headers->id : NULL, timestamp, body, len,
                                    &signed_len);
    bool good = false;
    for (int i = 0; i < SIGNATURE_SECRETS; i++) {
        unsigned char expected[DIGEST];
        if (!secrets[i].bytes)
            continue;
        digest_of(&secrets[i], signed_text, signed_len, expected);
        good |= standard ? standard_matches(headers->standard, expected)
                         : plain_matches(headers->plain + sizeof scheme - 1, expected);
    }
    free(signed_text);
    return good ? SIGNATURE_GOOD : SIGNATURE_WRONG;
}

const char *signature_problem(enum signature_verdict verdict)
{
    switch (verdict) {
    case SIGNATURE_GOOD:
        return "";
    case SIGNATURE_MISSING:
        return "not signed: neither webhook-signature nor X-Signature is there";
    case SIGNATURE_MALFORMED:
        return "malformed signature: webhook-id, webhook-timestamp and webhook-signature, "
               "or X-Timestamp and X-Signature: sha256=<hex>, are wanted";
    case SIGNATURE_STALE:
        return "the signature's time is too far from now";
    case SIGNATURE_WRONG:
        return "the signature is wrong";
    }
    return "";
}
