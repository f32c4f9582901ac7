/* rfc3339.c - times as people and JSON write them; see rfc3339.h */
#include "base/rfc3339.h"

#include <ctype.h>

#define SECOND_US INT64_C(1000000)

/* Reads exactly `digits` digits; -1 if there are fewer. */
static int number(const char **at, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool one_of(const char **at, char a, char b)
{
    if (**at != a && **at != b)
        return false;
    (*at)++;
    return true;
}

/* Days since 1970 of a day in the Gregorian calendar; years are counted from March, so that leap
 * days come last. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    int64_t leap = y >= 0 ? y / 4 - y / 100 + y / 400
                          : -1; /* year -1 is what January of year 0 counts as */
    return 365 * y + leap + (153 * m + 2) / 5 + day - 719469;
}

static bool is_day(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

/* ".123456789" */
static bool fraction(const char **at, int64_t *us)
{
    *us = 0;
    if (**at != '.')
        return true;
    (*at)++;
    if (!isdigit((unsigned char)**at))
        return false;
    for (int64_t unit = SECOND_US / 10; isdigit((unsigned char)**at); (*at)++, unit /= 10)
        *us += unit * (**at - '0');
    return true;
}

/* "Z" or "+03:00", in seconds. */
static bool offset(const char **at, int64_t *seconds)
{
    *seconds = 0;
    if (one_of(at, 'Z', 'z'))
        return true;
    int sign = **at == '-' ? -1 : 1;
    if (!one_of(at, '+', '-'))
        return false;
    int hours = number(at, 2);
    if (hours < 0 || !one_of(at, ':', ':'))
        return false;
    int minutes = number(at, 2);
    *seconds = sign * (hours * 3600 + minutes * 60);
    return hours <= 23 && minutes >= 0 && minutes <= 59;
}

bool rfc3339_parse(const char *text, int64_t *us)
{
    const char *at = text;
    int year, month, day, hour, minute, second;
    if ((year = number(&at, 4)) < 0 || !one_of(&at, '-', '-') || (month = number(&at, 2)) < 0 ||
        !one_of(&at, '-', '-') || (day = number(&at, 2)) < 0 || !one_of(&at, 'T', 't') ||
        (hour = number(&at, 2)) < 0 || !one_of(&at, ':', ':') || (minute = number(&at, 2)) < 0 ||
        !one_of(&at, ':', ':') || (second = number(&at, 2)) < 0)
        return false;
    int64_t part, east;
    if (!fraction(&at, &part) || !offset(&at, &east) || *at || !is_day(year, month, day) ||
        hour > 23 || minute > 59 || second > 60)
        return false;
    if (second == 60) {
        second = 59;
        part = SECOND_US - 1;
    }
    int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - east;
    *us = seconds * SECOND_US + part;
    return true;
}
