/* doctor_redis.c - does Redis answer?; see doctor.h */
#include "doctor.h"
#include "net/redis_plain.h"
#include "suite/settings.h"

void doctor_redis(struct doctor *doctor)
{
    const struct config *config = doctor->ctl.config;
    static const char advice[] = "start Redis, or check redis.url and redis.password_file; "
                                 "without it repeats are not recognised";
    if (!*config->redis_url) {
        doctor_find(doctor, FINDING_WARNING, "Redis", advice, "none is configured");
        return;
    }
    struct redis_conn_settings settings = settings_redis(config);
    char error[512];
    if (redis_plain_ping(&settings, error, sizeof error))
        doctor_find(doctor, FINDING_OK, "Redis", NULL, "answers");
    else
        doctor_find(doctor, FINDING_ILL, "Redis", advice, "%s", error);
}
