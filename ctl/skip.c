/* skip.c - mtcctl skip: an event that is first in line becomes a dead letter; see let_go.h */
#include "let_go.h"
#include "output.h"
#include "programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether a sender has done it. */
static bool print_done(const json_t *done, bool json)
{
    bool ok = false;
    size_t i;
    json_t *each;
    json_array_foreach (done, i, each) {
        const char *did = program_text(each, "did");
        bool refused = strncmp(did, "not done", 8) == 0;
        ok = ok || !refused;
        if (!json)
            fprintf(refused ? stderr : stdout, "%s: %s\n", program_text(each, "worker"), did);
    }
    return ok;
}

int let_go(const struct config *config, bool json, const char *by, const char *name)
{
    struct ctl ctl = {.config = config, .json = json};
    json_t *order = json_pack("{s:{s:s}}", "let_go", by, name);
    char *text = order ? json_dumps(order, JSON_COMPACT) : NULL;
    json_decref(order);
    if (!text) {
        fprintf(stderr, "mtcctl: the name is no UTF-8\n");
        return 2;
    }
    json_t *done = ctl_broker(&ctl) ? programs_order(&ctl, text) : NULL;
    free(text);
    ctl_close(&ctl);
    if (!done)
        return ctl_fail(&ctl);
    bool any = json_array_size(done) > 0, ok = print_done(done, json);
    if (!any && !json)
        fprintf(stderr,
                strcmp(by, "event") == 0
                    ? "mtcctl: no sender has event %s first in line; mtcctl status names those "
                      "that wait\n"
                    : "mtcctl: no sender has stopped at an event of machine %s\n",
                name);
    if (json)
        output_json(done);
    else
        json_decref(done);
    return ok ? 0 : 1;
}

int skip_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl skip EVENT-ID [--json]\n"
        "  The event, which is first in line of its machine and is not taken, becomes a dead "
        "letter by\n"
        "  hand; those behind it go on. mtcctl status names such events.\n";
    bool json = false;
    int done = ctl_options(argc, argv, help, &json);
    if (done >= 0)
        return done;
    if (optind + 1 != argc)
        return ctl_usage(help, stderr);
    if (!ctl_event_id(argv[optind]))
        return 2;
    return let_go(config, json, "event", argv[optind]);
}
