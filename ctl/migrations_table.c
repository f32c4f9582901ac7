/* migrations_table.c - looks things up in the embedded table; see migrations.h */
#include "migrations.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

static bool is_function(const struct migration *migration)
{
    return strcmp(migration->component, MIGRATIONS_FUNCTIONS) == 0;
}

int migrations_newest(const char *component)
{
    int version = 0;
    for (size_t i = 0; i < migration_count; i++) {
        if (strcmp(migrations[i].component, component) == 0 && migrations[i].version > version)
            version = migrations[i].version;
    }
    return version;
}

const struct migration *migrations_function(const char *family)
{
    for (size_t i = 0; i < migration_count; i++) {
        if (is_function(&migrations[i]) && strcmp(migrations[i].title, family) == 0)
            return &migrations[i];
    }
    return NULL;
}

bool migrations_is_adapter(const char *component)
{
    return strcmp(component, MIGRATIONS_CORE) != 0 && migrations_newest(component) > 0;
}

/* Appends to a list that begins as NULL; frees the shorter one. */
static char *add(char *list, const char *separator, const char *word)
{
    char *longer = xasprintf("%s%s%s", list ? list : "", list ? separator : "", word);
    free(list);
    return longer;
}

char *migrations_adapters(void)
{
    char *list = NULL;
    for (size_t i = 0; i < migration_count; i++) {
        if (migrations_is_adapter(migrations[i].component))
            list = add(list, ", ", migrations[i].component);
    }
    return list ? list : xstrdup("none");
}

char *migrations_function_digests(void)
{
    char *list = NULL;
    for (size_t i = 0; i < migration_count; i++) {
        if (!is_function(&migrations[i]))
            continue;
        char *one = xasprintf("\"%s %s\"", migrations[i].title, migrations[i].digest);
        list = add(list, ",", one);
        free(one);
    }
    char *array = xasprintf("{%s}", list ? list : "");
    free(list);
    return array;
}
