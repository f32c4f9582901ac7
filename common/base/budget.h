/*
 * budget.h - memory that several clients share, in bytes
 *
 * What is taken is given back by whoever took it, under the same name. No client has more than a
 * quarter, so that one can't shut out the others; a single piece that is larger than that is taken
 * all the same while its client has nothing else. The bound for all holds always, but for one piece
 * that is larger than all there is: that one is taken while nothing else is.
 */
#ifndef MTC_BUDGET_H
#define MTC_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

struct budget;

struct budget *budget_new(size_t most);
void budget_free(struct budget *budget); /* NULL is fine; whatever is still taken */

/* False: there is no room, and nothing was taken. client is copied. */
bool budget_take(struct budget *budget, const char *client, size_t bytes);
void budget_give_back(struct budget *budget, const char *client, size_t bytes);

size_t budget_held(const struct budget *budget);

#endif
