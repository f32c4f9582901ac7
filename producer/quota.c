/* quota.c - how much may be on its way to the broker, and whose turn it is not; see quota.h */
#include "quota.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct partition {
    struct quota_amount taken;
    bool stopped, probation;
    int64_t waiting_since; /* for a confirm, while there are rows */
};

struct quota_machine {
    struct quota_amount taken;
    bool large; /* it has its quarter */
    int home;
    int denied_in; /* the partition that a row of it has to wait for; -1: none */
    UT_hash_handle hh;
    char name[];
};

struct quota {
    struct quota_limits limits;
    struct quota_amount taken;
    struct partition *partitions; /* limits.partitions + 1 */
    struct quota_machine *machines;
};

static void add(struct quota_amount *to, size_t bytes)
{
    to->rows++;
    to->bytes += bytes;
}

static void subtract(struct quota_amount *from, size_t bytes)
{
    from->rows--;
    from->bytes -= bytes;
}

/* --- partitions --- */

static bool is_open(const struct quota *quota, int partition)
{
    const struct partition *one = &quota->partitions[partition];
    return !one->stopped && !(one->probation && one->taken.rows);
}

static const char *name_of(const struct quota *quota, int partition, char out[TOPOLOGY_NAME_BYTES])
{
    return partition == quota->limits.partitions ? TOPOLOGY_DEAD
                                                 : topology_partition_name(partition, out);
}

/* It has confirmed something. True if it is open that was not. */
static bool reopen(struct quota *quota, int partition, bool was_open)
{
    struct partition *one = &quota->partitions[partition];
    char name[TOPOLOGY_NAME_BYTES];
    if (one->stopped || one->probation)
        log_info("a partition confirms again", LF_S("queue", name_of(quota, partition, name)));
    one->stopped = one->probation = false;
    return !was_open;
}

/* --- machines --- */

static bool is_held(const struct quota *quota, const struct quota_machine *machine)
{
    return machine->large || !is_open(quota, machine->home) ||
           (machine->denied_in >= 0 && !is_open(quota, machine->denied_in));
}

static struct quota_machine *machine_of(struct quota *quota, const char *name, int home)
{
    struct quota_machine *machine;
    HASH_FIND_STR(quota->machines, name, machine);
    if (!machine) {
        size_t len = strlen(name);
        machine = xcalloc(1, sizeof *machine + len + 1);
        memcpy(machine->name, name, len);
        machine->home = home;
        machine->denied_in = -1;
        HASH_ADD_KEYPTR(hh, quota->machines, machine->name, len, machine);
    }
    return machine;
}

static void forget(struct quota *quota, struct quota_machine *machine)
{
    HASH_DEL(quota->machines, machine);
    free(machine);
}

static void forget_all(struct quota *quota)
{
    struct quota_machine *machine = quota->machines, *next;
    HASH_CLEAR(hh, quota->machines); /* lets go of them all; their list is still whole */
    for (; machine; machine = next) {
        next = machine->hh.next;
        free(machine);
    }
}

/* Who had to wait, and need not any more. */
static void release(struct quota *quota)
{
    struct quota_machine *next;
    for (struct quota_machine *machine = quota->machines; machine; machine = next) {
        next = machine->hh.next; /* it may be forgotten */
        if (machine->denied_in < 0 || is_held(quota, machine))
            continue;
        machine->denied_in = -1;
        if (!machine->taken.rows)
            forget(quota, machine);
    }
}

/* --- what is on its way --- */

/* One that has nothing on its way may have a row of any size. */
static bool is_too_large(const struct quota *quota, const struct quota_machine *machine,
                         size_t bytes)
{
    return machine->taken.rows && machine->taken.bytes + bytes > quota->limits.bytes / 4;
}

bool quota_take(struct quota *quota, struct quota_share *share, const char *machine, int home,
                int64_t now)
{
    struct quota_machine *who = machine_of(quota, machine, home);
    struct partition *where = &quota->partitions[share->partition];
    if (is_too_large(quota, who, share->bytes))
        who->large = true;
    if (is_held(quota, who) || !is_open(quota, share->partition)) {
        if (who->denied_in < 0)
            who->denied_in = share->partition;
        return false;
    }
    if (!where->taken.rows)
        where->waiting_since = now;
    add(&quota->taken, share->bytes);
    add(&where->taken, share->bytes);
    add(&who->taken, share->bytes);
    who->large = who->taken.bytes >= quota->limits.bytes / 4;
    share->machine = who;
    return true;
}

bool quota_give(struct quota *quota, const struct quota_share *share, int64_t now)
{
    struct partition *where = &quota->partitions[share->partition];
    struct quota_machine *who = share->machine;
    bool was_open = is_open(quota, share->partition);
    subtract(&quota->taken, share->bytes);
    subtract(&where->taken, share->bytes);
    subtract(&who->taken, share->bytes);
    where->waiting_since = now;
    bool shrunk = who->large && who->taken.bytes <= quota->limits.bytes / 8;
    if (shrunk)
        who->large = false;
    if (!who->taken.rows && who->denied_in < 0)
        forget(quota, who);
    bool reopened = reopen(quota, share->partition, was_open);
    if (shrunk || reopened)
        release(quota);
    return shrunk || reopened;
}

static void lose_all(struct quota *quota, bool keep_probation)
{
    forget_all(quota);
    quota->taken = (struct quota_amount){0};
    for (int i = 0; i <= quota->limits.partitions; i++) {
        struct partition *one = &quota->partitions[i];
        *one = (struct partition){.probation = keep_probation && (one->stopped || one->probation)};
    }
}

void quota_on_channel_lost(struct quota *quota)
{
    lose_all(quota, true);
}

void quota_clear(struct quota *quota)
{
    lose_all(quota, false);
}

/* Short with one that leaves too little for the others. */
static int64_t patience(const struct quota *quota, const struct partition *one)
{
    const struct quota_limits *limits = &quota->limits;
    bool half = one->taken.rows >= limits->window / 2 || one->taken.bytes >= limits->bytes / 2;
    return half ? limits->confirm_ms / 10 : limits->confirm_ms;
}

bool quota_watch(struct quota *quota, bool waits_for_us, int64_t now)
{
    char name[TOPOLOGY_NAME_BYTES];
    bool stopped = false;
    for (int i = 0; i <= quota->limits.partitions; i++) {
        struct partition *one = &quota->partitions[i];
        if (!one->taken.rows || waits_for_us)
            one->waiting_since = now;
        if (one->stopped || now - one->waiting_since < patience(quota, one))
            continue;
        one->stopped = stopped = true;
        if (!one->probation)
            log_warn("a partition confirms nothing; its events wait",
                     LF_S("queue", name_of(quota, i, name)),
                     LF_I("on_its_way", (int64_t)one->taken.rows));
    }
    return stopped;
}

/* --- what is asked of it --- */

struct quota_amount quota_taken(const struct quota *quota)
{
    return quota->taken;
}

struct quota_amount quota_counted(const struct quota *quota)
{
    struct quota_amount counted = quota->taken;
    for (int i = 0; i <= quota->limits.partitions; i++) {
        const struct partition *one = &quota->partitions[i];
        counted.rows -= one->stopped ? one->taken.rows : 0;
        counted.bytes -= one->stopped ? one->taken.bytes : 0;
    }
    return counted;
}

static size_t left_of(size_t limit, size_t counted)
{
    return counted < limit ? limit - counted : 0;
}

struct quota_amount quota_left(const struct quota *quota)
{
    struct quota_amount counted = quota_counted(quota);
    return (struct quota_amount){.rows = left_of(quota->limits.window, counted.rows),
                                 .bytes = left_of(quota->limits.bytes, counted.bytes)};
}

int quota_stopped(const struct quota *quota)
{
    int stopped = 0;
    for (int i = 0; i <= quota->limits.partitions; i++)
        stopped += quota->partitions[i].stopped ||
                   (quota->partitions[i].probation && quota->partitions[i].taken.rows);
    return stopped;
}

bool quota_is_crowded(const struct quota *quota)
{
    return HASH_COUNT(quota->machines) >= QUOTA_MACHINES_MAX;
}

static size_t put_quoted(char *out, const char *text)
{
    size_t len = 0;
    out[len++] = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            out[len++] = '\\';
        out[len++] = *text;
    }
    out[len++] = '"';
    return len;
}

char *quota_held(const struct quota *quota)
{
    const struct quota_machine *machine;
    size_t len = 0, room = 3;
    for (machine = quota->machines; machine; machine = machine->hh.next)
        room += is_held(quota, machine) ? 2 * strlen(machine->name) + 3 : 0;
    char *out = xmalloc(room);
    out[len++] = '{';
    for (machine = quota->machines; machine; machine = machine->hh.next) {
        if (!is_held(quota, machine))
            continue;
        if (len > 1)
            out[len++] = ',';
        len += put_quoted(out + len, machine->name);
    }
    out[len++] = '}';
    out[len] = '\0';
    return out;
}

struct quota *quota_new(const struct quota_limits *limits)
{
    struct quota *quota = xcalloc(1, sizeof *quota);
    quota->limits = *limits;
    quota->partitions = xcalloc((size_t)limits->partitions + 1, sizeof *quota->partitions);
    return quota;
}

void quota_free(struct quota *quota)
{
    if (!quota)
        return;
    forget_all(quota);
    free(quota->partitions);
    free(quota);
}
