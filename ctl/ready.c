/* ready.c - mtcctl ready; see ready.h */
#include "ready.h"
#include "ctl.h"
#include "output.h"
#include "programs.h"
#include "net/http_plain.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 3000L

static void tell(const char *program, const char *url, const struct http_plain *answer, bool json)
{
    const char *text = answer->status == 0 ? answer->error : answer->body;
    if (json)
        output_json(json_pack("{s:s, s:b, s:s}", "program", program, "ready", answer->status == 200,
                              "detail", text));
    else if (answer->status == 0)
        printf("not running: %s: %s\n", url, text);
    else
        puts(text);
}

int ready_main(const struct config *config, int argc, char **argv)
{
    static const char help[] =
        "usage: mtcctl ready producer|sender|scheduler|receiver [--json]\n"
        "  Asks that program on this machine whether it is ready. Exit status 0: it is.\n";
    bool json = false;
    int done = ctl_options(argc, argv, help, &json);
    if (done >= 0)
        return done;
    const char *program = optind == argc - 1 ? argv[optind] : "";
    const char *address = program_address(config, program);
    char url[256];
    if (!address) {
        if (*program)
            fprintf(stderr, "mtcctl: \"%s\" is none of the programs\n", program);
        return ctl_usage(help, stderr);
    }
    if (!*address) {
        fprintf(stderr, "mtcctl: %s.listen is empty: there is nobody to ask\n", program);
        return 1;
    }
    program_url(address, "/readyz", url, sizeof url);
    struct http_plain answer = http_plain_get(url, NULL, NULL, TIMEOUT_MS);
    answer.body[strcspn(answer.body, "\n")] = '\0';
    tell(program, url, &answer, json);
    int status = answer.status == 200 ? 0 : 1;
    http_plain_free(&answer);
    return status;
}
