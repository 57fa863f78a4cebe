#include "member.h"

/* Members as spans: one pass that validates, no tree. */

static bool read_value(struct json_scan *scan, struct member *member)
{
    enum json_token token = json_next(scan);

    *member = (struct member){.kind = (uint8_t)token};
    if (!json_skip_after(scan, token, &member->raw))
        return false;
    if (token == JSON_NULL) {
        member->kind = JSON_ERROR;
        member->is_null = true;
    }
    return true;
}

bool members_read(struct json_scan *scan, const struct slice *names, uint32_t count,
                  struct member *members, int *twice, member_unknown_fn unknown, void *context)
{
    enum json_token token;

    for (uint32_t i = 0; i < count; i++)
        members[i] = (struct member){0};
    if (twice != NULL)
        *twice = -1;
    while ((token = json_next(scan)) == JSON_KEY) {
        struct text key = text_escaped(scan->text);
        int index = json_key_index(scan, names, count);
        struct member other;

        if (index >= 0 && twice != NULL && members[index].raw.len > 0)
            *twice = index;
        if (!read_value(scan, index >= 0 ? &members[index] : &other))
            return false;
        if (index < 0 && unknown != NULL)
            unknown(context, key, &other);
    }
    return token == JSON_OBJECT_END;
}

bool members_of(struct slice raw, const struct slice *names, uint32_t count, struct member *members)
{
    struct json_scan scan;

    json_open(&scan, raw);
    if (json_next(&scan) != JSON_OBJECT) {
        for (uint32_t i = 0; i < count; i++)
            members[i] = (struct member){0};
        return false;
    }
    return members_read(&scan, names, count, members, NULL, NULL, NULL);
}

bool member_int(const struct member *member, int64_t *value)
{
    return member->kind == JSON_NUMBER && json_number_int(member->raw, value);
}
