#include "member.h"

/* Members as spans: one pass that validates, no tree. */

bool members_read(struct json_scan *scan, const struct slice *names, uint32_t count,
                  struct member *members, int *twice, member_unknown_fn unknown, void *context)
{
    enum json_token token, kind;
    struct slice raw;

    for (uint32_t i = 0; i < count; i++)
        members[i] = (struct member){0};
    if (twice != NULL)
        *twice = -1;
    while ((token = json_member(scan, &kind, &raw)) == JSON_KEY) {
        const bool is_null = kind == JSON_NULL;
        const struct member member = {
            .kind = is_null ? JSON_ERROR : (uint8_t)kind, .is_null = is_null, .raw = raw};
        const int index = json_key_index(scan, names, count);

        if (index < 0) {
            if (unknown != NULL)
                unknown(context, text_escaped(scan->text), &member);
            continue;
        }
        if (twice != NULL && members[index].raw.len > 0)
            *twice = index;
        members[index] = member;
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
