/*
 * restored.c - mtcctl restored: PostgreSQL was restored from a backup, and the rest went on
 *
 * RabbitMQ, Redis and MTConnect have seen row ids, terms and rounds that the backup does not know
 * of. mtc.restored() in sql/functions/reconcile.sql goes beyond them.
 */
#include "ctl.h"
#include "output.h"

#include <stdio.h>

static void print_done(const PGresult *result)
{
    printf("numbers go on beyond those of the backup\n"
           "%s events wait, and go out as repeats; %s are published without an outcome, and the "
           "first two rounds\nof markers tell which of them to publish again\n",
           PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
}

int restored_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl restored [--json]\n"
        "  PostgreSQL was restored from a backup, while RabbitMQ and Redis went on: no number they "
        "have seen\n"
        "  is given again, and what waits goes out as repeats. To be called once, before the first "
        "producer\n"
        "  starts; see docs/operations.md.\n";
    struct ctl ctl = {.config = config};
    int done = ctl_options(argc, argv, help, &ctl.json);
    if (done >= 0)
        return done;
    if (optind < argc)
        return ctl_usage(help, stderr);
    PGresult *result = ctl_pg(&ctl) ? ctl_query(&ctl, "SELECT * FROM mtc.restored()", 0, NULL)
                                    : NULL;
    ctl_close(&ctl);
    if (!result)
        return ctl_fail(&ctl);
    if (ctl.json)
        output_json(output_row(result, 0));
    else
        print_done(result);
    PQclear(result);
    return 0;
}
