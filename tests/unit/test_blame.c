/* test_blame.c - is it the event or the route? */
#include "unit.h"
#include "shop.h"

#include <stdlib.h>

/* --- outages: nobody is dead, and all of it arrives --- */

static int answer_500_for_a_minute(const struct shop *shop, int machine, const struct head *head,
                                   int64_t now_ms)
{
    (void)shop;
    (void)machine;
    (void)head;
    return now_ms < MINUTE ? ACCUSED_UNCLEAR : TAKEN;
}

static void one_machine_alone_waits_out_an_outage(void **state)
{
    (void)state;
    struct shop *shop = shop_open(1, 3000, answer_500_for_a_minute);
    shop_run(shop, 0, 4 * MINUTE);
    assert_int_equal(shop->dead, 0);
    assert_true(shop->taken > 10);
    shop_close(shop);
}

static int answer_404_for_12_s(const struct shop *shop, int machine, const struct head *head,
                               int64_t now_ms)
{
    (void)shop;
    (void)machine;
    (void)head;
    return now_ms >= 1000 && now_ms < 13000 ? ACCUSED_UNCLEAR : TAKEN;
}

static void a_wrong_address_for_12_s_kills_nothing(void **state)
{
    (void)state;
    for (int machines = 1; machines <= SHOP_MACHINES; machines = machines * 3 + 1) {
        struct shop *shop = shop_open(machines, 2000, answer_404_for_12_s);
        shop_run(shop, 0, 2 * MINUTE);
        assert_int_equal(shop->dead, 0);
        assert_true(shop->taken > machines);
        shop_close(shop);
    }
}

static int answer_500_to_60_percent(const struct shop *shop, int machine, const struct head *head,
                                    int64_t now_ms)
{
    (void)machine;
    (void)head;
    unsigned *seed = (unsigned *)(uintptr_t)&shop->seed;
    return now_ms < MINUTE && rand_r(seed) % 10 < 6 ? ACCUSED_UNCLEAR : TAKEN;
}

static void sixty_percent_of_failures_kill_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct shop *shop = shop_open(60, 1000, answer_500_to_60_percent);
        shop->seed = seed;
        shop_run(shop, 0, 3 * MINUTE);
        assert_int_equal(shop->dead, 0);
        shop_close(shop);
    }
}

/* --- poison: it dies, and alone --- */

static int answer_poison(const struct shop *shop, int machine, int poisoned, enum accused accused)
{
    /* Its first event is poison, those behind it are not. */
    return machine < poisoned && shop->dead_of[machine] == 0 ? (int)accused : TAKEN;
}

static int answer_403_to_one(const struct shop *shop, int machine, const struct head *head,
                             int64_t now_ms)
{
    (void)head;
    (void)now_ms;
    return answer_poison(shop, machine, 1, ACCUSED_DESTINATION);
}

static void a_403_that_one_event_gets_is_its_own(void **state)
{
    (void)state;
    struct shop *shop = shop_open(20, 1000, answer_403_to_one);
    shop_run(shop, 0, MINUTE);
    assert_int_equal(shop->dead, 1);
    assert_int_equal(shop->dead_of[0], 1);
    assert_int_equal(shop->requests_of_dead, 6); /* the first has no proof after it yet */
    assert_in_range(shop->died_ms[0], 25000, 30000);
    shop_close(shop);
}

static int answer_500_to_five(const struct shop *shop, int machine, const struct head *head,
                              int64_t now_ms)
{
    (void)head;
    (void)now_ms;
    return answer_poison(shop, machine, 5, ACCUSED_UNCLEAR);
}

static void poison_events_are_no_alibi_for_one_another(void **state)
{
    (void)state;
    struct shop *shop = shop_open(16, 1000, answer_500_to_five);
    shop_run(shop, 0, 3 * MINUTE);
    assert_int_equal(shop->dead, 5);
    for (int m = 0; m < 5; m++)
        assert_int_equal(shop->dead_of[m], 1);
    shop_close(shop);
}

static void in_a_quiet_shop_it_dies_when_another_speaks(void **state)
{
    (void)state;
    struct shop *shop = shop_open(2, 0, answer_403_to_one);
    shop->next_ms[1] = 1; /* at the start, and again after half an hour */
    shop->period_ms[1] = 30 * MINUTE;
    shop->next_ms[0] = 5000;
    shop_run(shop, 0, 30 * MINUTE);
    assert_int_equal(shop->dead, 0);
    shop_run(shop, 30 * MINUTE, 31 * MINUTE);
    assert_int_equal(shop->dead, 1);
    shop_close(shop);
}

static int answer_422_to_one(const struct shop *shop, int machine, const struct head *head,
                             int64_t now_ms)
{
    (void)head;
    (void)now_ms;
    return answer_poison(shop, machine, 1, ACCUSED_EVENT);
}

static void an_event_that_is_refused_dies_at_the_second_answer(void **state)
{
    (void)state;
    struct shop *shop = shop_open(20, 1000, answer_422_to_one);
    shop_run(shop, 0, MINUTE);
    assert_int_equal(shop->dead, 1);
    assert_int_equal(shop->requests_of_dead, 2);
    shop_close(shop);
    shop = shop_open(1, 1000, answer_422_to_one);
    shop_run(shop, 0, MINUTE);
    assert_int_equal(shop->dead, 1);
    assert_int_equal(shop->requests_of_dead, 5); /* alone: there is no proof */
    assert_in_range(shop->died_ms[0], 25000, 26000);
    shop_close(shop);
}

/* --- deaths in rows --- */

static int answer_422(const struct shop *shop, int machine, const struct head *head, int64_t now_ms)
{
    (void)shop;
    (void)machine;
    (void)head;
    (void)now_ms;
    return ACCUSED_EVENT;
}

static void a_broken_deployment_kills_few(void **state)
{
    (void)state;
    struct shop *shop = shop_open(40, 1000, answer_422);
    shop_run(shop, 0, 10 * MINUTE);
    assert_int_equal(shop->dead, BLAME_ROW);
    shop_run(shop, 10 * MINUTE, 65 * MINUTE);
    assert_in_range(shop->dead, BLAME_ROW + 2, BLAME_ROW + 4); /* one in a quarter of an hour */
    for (int i = BLAME_ROW; i < shop->dead; i++)
        assert_true(shop->died_ms[i] - shop->died_ms[i - 1] >= shop_rules.sacrifice_ms);
    shop->world = answer_404_for_12_s;
    int before = shop->dead;
    shop_run(shop, 65 * MINUTE, 75 * MINUTE);
    assert_int_equal(shop->dead, before);
    assert_true(shop->taken > 1000);
    shop_close(shop);
}

static int answer_404_to_one_machine(const struct shop *shop, int machine, const struct head *head,
                                     int64_t now_ms)
{
    (void)shop;
    (void)head;
    (void)now_ms;
    return machine == 0 ? ACCUSED_UNCLEAR : TAKEN;
}

static void a_name_nobody_knows_costs_its_machine_three_then_one_in_a_while(void **state)
{
    (void)state;
    struct shop *shop = shop_open(12, 1000, answer_404_to_one_machine);
    shop_run(shop, 0, 10 * MINUTE);
    assert_int_equal(shop->dead_of[0], BLAME_ROW);
    shop_run(shop, 10 * MINUTE, 40 * MINUTE);
    assert_in_range(shop->dead_of[0], BLAME_ROW + 1, BLAME_ROW + 2);
    assert_int_equal(shop->dead, shop->dead_of[0]);
    shop_close(shop);
}

/* --- settings --- */

static void unproven_for_long_counts_where_that_is_wished(void **state)
{
    (void)state;
    struct shop *shop = shop_open(1, 0, answer_404_to_one_machine);
    shop->rules.unproven_ms = 2 * MINUTE;
    shop_run(shop, 0, 2 * MINUTE);
    assert_int_equal(shop->dead, 0);
    shop_run(shop, 2 * MINUTE, 4 * MINUTE);
    assert_int_equal(shop->dead, 1);
    shop_close(shop);
}

static bool ill_for_two_minutes(int64_t now_ms)
{
    return now_ms < 2 * MINUTE;
}

static void the_referee_acquits(void **state)
{
    (void)state;
    struct shop *shop = shop_open(20, 1000, answer_422_to_one);
    shop->is_ill = ill_for_two_minutes;
    shop_run(shop, 0, 2 * MINUTE);
    assert_int_equal(shop->dead, 0);
    shop_run(shop, 2 * MINUTE, 4 * MINUTE);
    assert_int_equal(shop->dead, 1);
    shop_close(shop);
}

/* --- other senders --- */

/* They reach MTConnect; whether we do is another matter. */
static void what_others_see_is_no_proof_of_our_own_way_there(void **state)
{
    (void)state;
    struct blame blame = {0};
    struct witness theirs = {
        .machine = 9, .began_ms = 100, .ended_ms = 101, .taken = true, .foreign = true};
    struct blame_case destination = {
        .failed = true, .first_failed_ms = 50, .last = ACCUSED_DESTINATION};
    struct blame_case unclear = {.failed = true, .first_failed_ms = 50, .last = ACCUSED_UNCLEAR};
    blame_hear(&blame, &theirs);
    assert_false(blame_has_proof(&blame, &unclear, 1, 200)); /* our address may be wrong */
    blame_on_taken(&blame, 1);
    assert_true(blame_has_proof(&blame, &unclear, 1, 200));
    assert_false(blame_has_proof(&blame, &destination, 1, 200));
    struct witness ours = {.machine = 8, .began_ms = 102, .ended_ms = 103, .taken = true};
    blame_hear(&blame, &ours);
    assert_true(blame_has_proof(&blame, &destination, 1, 200));
    theirs.taken = false; /* what they failed with is heard in any case */
    blame_hear(&blame, &theirs);
    assert_false(blame_has_proof(&blame, &destination, 1, 200));
    blame_free(&blame);
}

/* --- properties --- */

/* Whatever the world does: no death without proof but of what was refused as such, none before its
 * last attempt, and never for 429. */
static void check_sentence(const struct blame_case *before, const struct blame_case *after,
                           enum sentence sentence, enum accused accused, bool proven)
{
    assert_true(after->counted >= before->counted && after->counted <= shop_rules.attempts);
    assert_true(sentence == SENTENCE_DEAD ||
                after->counted + after->probes > before->counted + before->probes);
    if (accused == ACCUSED_NOBODY) {
        assert_int_equal(sentence, SENTENCE_PROBE);
        assert_int_equal(after->counted, before->counted);
        assert_int_equal(after->failed, before->failed);
    }
    if (sentence == SENTENCE_DEAD && accused != ACCUSED_EVENT) {
        assert_true(proven);
        assert_int_equal(after->counted, shop_rules.attempts);
    }
    if (sentence == SENTENCE_DEAD && !proven)
        assert_int_equal(after->counted, shop_rules.attempts);
    if (!proven && accused != ACCUSED_EVENT)
        assert_int_equal(sentence, SENTENCE_PROBE);
}

static void property(void **state)
{
    (void)state;
    unsigned seed = 11;
    for (int round = 0; round < 100; round++) {
        struct blame blame = {0};
        struct head heads[8] = {0};
        int64_t now = 1;
        int well = rand_r(&seed) % 11; /* of ten answers */
        for (int step = 0; step < 3000; step++) {
            now += rand_r(&seed) % 2000;
            int m = rand_r(&seed) % 8;
            struct head *head = &heads[m];
            bool taken = rand_r(&seed) % 10 < well;
            enum accused accused = (enum accused)(rand_r(&seed) % 4);
            if (!head->blame.failed) {
                struct witness witness = {
                    .machine = (uint64_t)m, .began_ms = now, .ended_ms = now, .taken = taken};
                blame_hear(&blame, &witness);
            }
            if (taken) {
                blame_on_taken(&blame, (uint64_t)m);
                *head = (struct head){0};
                continue;
            }
            struct blame_case before = head->blame;
            struct blame_case met = before; /* as it is when it is judged */
            met.first_failed_ms = before.failed ? before.first_failed_ms : now;
            met.last = accused;
            bool proven = blame_has_proof(&blame, &met, (uint64_t)m, now);
            enum sentence sentence = blame_on_failure(&blame, &shop_rules, &head->blame,
                                                      (uint64_t)m, accused, false, now);
            check_sentence(&before, &head->blame, sentence, accused, proven);
            if (sentence == SENTENCE_DEAD)
                *head = (struct head){0};
        }
        blame_free(&blame);
    }
}

static void memory_is_bounded_whoever_dies(void **state)
{
    (void)state;
    struct blame blame = {0};
    struct blame_rules free_to_die = {.attempts = 1};
    for (uint64_t m = 0; m < 10 * BLAME_MACHINES; m++) {
        struct blame_case event = {0};
        assert_int_equal(
            blame_on_failure(&blame, &free_to_die, &event, m, ACCUSED_EVENT, false, (int64_t)m),
            SENTENCE_DEAD);
    }
    assert_int_equal(blame.machine_count, BLAME_MACHINES);
    for (uint64_t m = 0; m < 10 * BLAME_MACHINES; m++)
        blame_on_taken(&blame, m);
    assert_int_equal(blame.machine_count, 0);
    for (int i = 0; i < 3 * BLAME_WITNESSES; i++) {
        struct witness witness = {.machine = 1, .began_ms = i, .ended_ms = i, .taken = true};
        blame_hear(&blame, &witness);
    }
    assert_int_equal(blame.count, BLAME_WITNESSES);
    struct blame_case late = {.failed = true, .first_failed_ms = 3 * BLAME_WITNESSES - 1};
    struct blame_case early = {.failed = true};
    assert_true(blame_has_proof(&blame, &late, 2, 3 * BLAME_WITNESSES));
    assert_false(blame_has_proof(&blame, &early, 1, 3 * BLAME_WITNESSES));
    assert_false(blame_has_proof(&blame, &early, 2, 4 * BLAME_WITNESSES + BLAME_PROOF_MS));
    blame_free(&blame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_machine_alone_waits_out_an_outage),
        cmocka_unit_test(a_wrong_address_for_12_s_kills_nothing),
        cmocka_unit_test(sixty_percent_of_failures_kill_nothing),
        cmocka_unit_test(a_403_that_one_event_gets_is_its_own),
        cmocka_unit_test(poison_events_are_no_alibi_for_one_another),
        cmocka_unit_test(in_a_quiet_shop_it_dies_when_another_speaks),
        cmocka_unit_test(an_event_that_is_refused_dies_at_the_second_answer),
        cmocka_unit_test(a_broken_deployment_kills_few),
        cmocka_unit_test(a_name_nobody_knows_costs_its_machine_three_then_one_in_a_while),
        cmocka_unit_test(unproven_for_long_counts_where_that_is_wished),
        cmocka_unit_test(the_referee_acquits),
        cmocka_unit_test(what_others_see_is_no_proof_of_our_own_way_there),
        cmocka_unit_test(property),
        cmocka_unit_test(memory_is_bounded_whoever_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
