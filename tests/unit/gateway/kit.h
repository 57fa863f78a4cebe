#ifndef R2A_TESTS_GATEWAY_KIT_H
#define R2A_TESTS_GATEWAY_KIT_H

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "r2a/gateway/config.h"

/* Configurations for tests of what reads them, written as JSON. */

static inline void kit_config_line(void *context, bool is_error, struct slice text)
{
    (void)context;
    if (is_error)
        fprintf(stderr, "%.*s\n", (int)text.len, text.ptr);
}

static inline struct config *kit_config(const char *json)
{
    struct config_report report = {.line = kit_config_line};
    char path[] = "/tmp/r2a-kit-XXXXXX";
    struct config_flags flags = {.file = path};
    struct config *config;
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, json, strlen(json)), (ssize_t)strlen(json));
    close(fd);
    config = config_load(&flags, &report);
    unlink(path);
    cr_assert_not_null(config);
    return config;
}

#endif
