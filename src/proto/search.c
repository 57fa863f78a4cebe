#include "search.h"

#include "member.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"

enum word {
    WORD_ALLOWED,
    WORD_BLOCKED,
    WORD_USES,
    WORD_SIZE,
    WORD_LOCATION,
    WORD_TOLD, /* up to here each is a member of its own */
    WORD_FILTERS = WORD_TOLD,
    WORDS,
};
static const struct slice words[WORDS] = {
    [WORD_ALLOWED] = S_INIT("allowed_domains"), [WORD_BLOCKED] = S_INIT("blocked_domains"),
    [WORD_USES] = S_INIT("max_uses"),           [WORD_SIZE] = S_INIT("search_context_size"),
    [WORD_LOCATION] = S_INIT("user_location"),  [WORD_FILTERS] = S_INIT("filters"),
};

#define BIT(word) (1u << (word))
/* What each form has a word for. */
static const uint8_t known[] = {
    [SEARCH_CHAT] = BIT(WORD_SIZE) | BIT(WORD_LOCATION),
    [SEARCH_RESPONSES] = BIT(WORD_ALLOWED) | BIT(WORD_SIZE) | BIT(WORD_LOCATION),
    [SEARCH_ANTHROPIC] =
        BIT(WORD_ALLOWED) | BIT(WORD_BLOCKED) | BIT(WORD_USES) | BIT(WORD_LOCATION),
    [SEARCH_GEMINI] = 0,
};

bool search_is(struct slice type)
{
    return str_starts(type, S("web_search")) || str_starts(type, S("google_search")) ||
           str_starts(type, S("googleSearch"));
}

/* {"type":"approximate","city":…}; Chat Completions has the place in an object of its own. */
static void write_location(enum search_form form, struct slice raw, struct rope *out)
{
    static const struct slice outer = S_INIT("approximate");
    static const struct slice names[] = {S_INIT("city"), S_INIT("region"), S_INIT("country"),
                                         S_INIT("timezone")};
    struct member inner, members[array_count(names)];
    bool is_first = true;

    if (members_of(raw, &outer, 1, &inner) && member_is(&inner, JSON_OBJECT))
        raw = inner.raw;
    rope_put(out, S("{\"type\":\"approximate\""));
    if (form == SEARCH_CHAT)
        rope_put(out, S(",\"approximate\":{"));
    for (uint32_t i = 0;
         members_of(raw, names, array_count(names), members) && i < array_count(names); i++) {
        if (!member_is(&members[i], JSON_STRING))
            continue;
        rope_put(out, is_first && form == SEARCH_CHAT ? S("\"") : S(",\""));
        is_first = false;
        rope_put(out, names[i]);
        rope_put(out, S("\":"));
        rope_put(out, members[i].raw);
    }
    rope_put(out, form == SEARCH_CHAT ? S("}}") : S("}"));
}

__attribute__((cold)) void search_write(enum search_form form, struct slice raw, struct rope *out,
                                        struct loss *loss)
{
    struct member members[WORDS], inner[2];
    bool is_first = form == SEARCH_CHAT;

    if (!members_of(raw, words, WORDS, members))
        return;
    if (member_is(&members[WORD_FILTERS], JSON_OBJECT) &&
        members_of(members[WORD_FILTERS].raw, words, 2, inner))
        memcpy(members, inner, sizeof(inner));
    for (uint32_t i = 0; i < WORD_TOLD; i++) {
        bool is_filter = i == WORD_ALLOWED && form == SEARCH_RESPONSES;

        if (members[i].kind == JSON_ERROR)
            continue;
        if (!(known[form] & BIT(i))) {
            loss_note(loss, words[i]);
            continue;
        }
        rope_put(out, is_first ? S("") : S(","));
        is_first = false;
        rope_put(out, is_filter ? S("\"filters\":{\"") : S("\""));
        rope_put(out, words[i]);
        rope_put(out, S("\":"));
        if (i == WORD_LOCATION)
            write_location(form, members[i].raw, out);
        else
            rope_put(out, members[i].raw);
        rope_put(out, is_filter ? S("}") : S(""));
    }
}
