#include "../../../src/proto/mend.h"

#include "codec.h"

/* Turn assembly, shown as one line: `user[r:a r:b "text"] assistant[c:a]`. */

static struct kit kit;
static struct ir_tape tape;
static struct mend mend;

static void open_kit(void)
{
    kit_open(&kit);
    kit.target.proto = &proto_anthropic;
    ir_tape_init(&tape, kit.mem);
}

static void close_kit(void)
{
    ir_tape_clear(&tape);
    kit_close(&kit);
}

TestSuite(mend, .init = open_kit, .fini = close_kit);

static const struct mend_rules anthropic = {.hoists_system = true,
                                            .merges_turns = true,
                                            .is_foreign = true,
                                            .user_first = true,
                                            .needs_user = true,
                                            .mid = MEND_MID_USER,
                                            .empty = MEND_EMPTY_STRICT,
                                            .prefill = MEND_PREFILL_TRIM,
                                            .seals = "ad"};
static const struct mend_rules chat = {.seals = "", .seals_on_calls = true};
static const struct mend_rules gemini = {.hoists_system = true,
                                         .merges_turns = true,
                                         .user_first = true,
                                         .needs_user = true,
                                         .mid = MEND_MID_USER,
                                         .empty = MEND_EMPTY_DROP,
                                         .seals = "g",
                                         .seals_on_calls = true};

static void show_turn(struct rope *rope, const struct mend_turn *turn)
{
    for (uint32_t k = 0; k < turn->count; k++) {
        const struct mend_part *part = mend_part_at(&mend, turn, k);

        if (k > 0)
            rope_put_char(rope, ' ');
        switch (part->kind) {
        case IR_PART_CALL:
            rope_put(rope, S("c:"));
            text_write_plain(rope, mend_call_id(&mend, part));
            break;
        case IR_PART_RESULT:
            rope_put(rope, part->event == MEND_NONE ? S("none:") : S("r:"));
            text_write_plain(rope, mend_call_id(&mend, part));
            break;
        case IR_PART_REASON:
        case IR_PART_REDACTED:
            rope_put(rope, S("think:"));
            mend_write_text(&mend, part, rope);
            break;
        default:
            rope_put(rope, S("'"));
            mend_write_text(&mend, part, rope);
            rope_put(rope, S("'"));
            break;
        }
        if (part->extra != NULL && part->extra->seal.len > 0) {
            rope_put(rope, S("/"));
            text_write_plain(rope, part->extra->seal);
        }
    }
}

static struct slice assembled(const struct mend_rules *rules, const char *lines)
{
    static const char *const roles[] = {"system[", "developer[", "user[", "assistant["};
    struct rope rope = kit_rope(&kit);

    ir_tape_clear(&tape);
    cr_assert(kit_put_lines(&kit, slice_from_z(lines), &tape.sink));
    if (mend_build(&mend, &tape, rules, &kit.target, &kit.brief, &kit.loss, &kit.fault) != R2A_OK)
        return S("refused");
    if (mend.system.count > 0) {
        rope_put(&rope, S("hoisted["));
        show_turn(&rope, &mend.system);
        rope_put(&rope, S("] "));
    }
    for (uint32_t i = 0; i < mend.turns_count; i++) {
        if (i > 0)
            rope_put_char(&rope, ' ');
        rope_put(&rope, slice_from_z(roles[mend.turns[i].role]));
        show_turn(&rope, &mend.turns[i]);
        rope_put_char(&rope, ']');
    }
    return kit_take(&kit, &rope);
}

#define expect_turns(rules, lines, want)                                                         \
    do {                                                                                         \
        struct slice expect_got = assembled(rules, lines);                                       \
        cr_expect(slice_eq(expect_got, slice_from_z(want)), "%.*s, not %s", (int)expect_got.len, \
                  expect_got.ptr, want);                                                         \
    } while (0)

#define TURN(role, parts) "TURN " role "\n" parts "TURN_END\n"
#define SAID(n, text)     "PART text part=" n "\nTEXT part=" n " plain " text "\nPART_END part=" n "\n"
#define BLANK(n)          "PART text part=" n "\nPART_END part=" n "\n"
#define CALLED(n, id)                                                                    \
    "PART call part=" n " id=plain\"" id "\" name=plain\"f\"\nTEXT part=" n " json {}\n" \
    "PART_END part=" n "\n"
#define ANSWERED(n, id, text) \
    "PART result part=" n " id=plain\"" id "\"\n" SAID("0", text) "PART_END part=" n "\n"
#define THOUGHT(n, text, seal)                                                    \
    "PART reason part=" n "\nFIELD seal part=" n " plain\"" seal "\" number=97\n" \
    "TEXT part=" n " plain " text "\nPART_END part=" n "\n"
#define BEGIN(dialect) "BEGIN id=plain\"" dialect "\"\n"

Test(mend, results_are_paired_over_turns_for_every_target)
{
    const char *lines = BEGIN("openai") TURN("user", SAID("0", "q"))
        TURN("assistant", CALLED("0", "a") CALLED("1", "b")) TURN("user", ANSWERED("0", "b", "B"))
            TURN("user", ANSWERED("0", "a", "A")) TURN("user", SAID("0", "next"));

    expect_turns(&anthropic, lines, "user['q'] assistant[c:a c:b] user[r:a r:b 'next']");
    expect_turns(&gemini, lines, "user['q'] assistant[c:a c:b] user[r:a r:b 'next']");
    expect_turns(&chat, lines, "user['q'] assistant[c:a c:b] user[r:a r:b 'next']");
    cr_expect_eq(mend.turns[2].results, 2u);
}

Test(mend, a_call_split_over_assistant_turns_is_one_turn)
{
    const char *lines = BEGIN("openai") TURN("user", SAID("0", "q"))
        TURN("assistant", CALLED("0", "a")) TURN("assistant", CALLED("0", "b"))
            TURN("user", ANSWERED("0", "a", "A")) TURN("user", ANSWERED("0", "b", "B"));

    expect_turns(&chat, lines, "user['q'] assistant[c:a c:b] user[r:a r:b]");
}

Test(mend, separate_messages_stay_separate_where_they_may)
{
    const char *lines = BEGIN("openai") TURN("user", SAID("0", "a")) TURN("user", SAID("0", "b"))
        TURN("assistant", SAID("0", "c")) TURN("assistant", SAID("0", "d"))
            TURN("user", SAID("0", "e"));

    expect_turns(&chat, lines, "user['a'] user['b'] assistant['c'] assistant['d'] user['e']");
    expect_turns(&anthropic, lines, "user['a' 'b'] assistant['c' 'd'] user['e']");
}

Test(mend, results_stand_before_system_text_in_between)
{
    const char *lines =
        BEGIN("openai") TURN("user", SAID("0", "q")) TURN("assistant", CALLED("0", "a"))
            TURN("system", SAID("0", "s")) TURN("user", ANSWERED("0", "a", "A"));

    expect_turns(&chat, lines, "user['q'] assistant[c:a] user[r:a] system['s']");
    expect_turns(&anthropic, lines,
                 "user['q'] assistant[c:a] user[r:a '<system>\\ns\\n</system>']");
}

Test(mend, dangling_orphaned_and_repeated)
{
    const char *lines = BEGIN("openai") TURN("user", SAID("0", "q") ANSWERED("1", "z", "Z"))
        TURN("assistant", CALLED("0", "a") CALLED("1", "b"))
            TURN("user", ANSWERED("0", "b", "old") ANSWERED("1", "b", "new"))
                TURN("assistant", SAID("0", "t")) TURN("user", ANSWERED("0", "a", "late"));

    expect_turns(&anthropic, lines,
                 "user['q' '[result of unknown tool call z]\\nZ'] assistant[c:a c:b] "
                 "user[none:a r:b] assistant['t'] user['[result of unknown tool call a]\\nlate']");
    cr_expect_eq(mend.dangling, 1u);
    cr_expect_eq(mend.orphans, 2u);
    cr_expect_eq(mend.duplicates, 1u);
}

Test(mend, results_without_an_id_go_by_name)
{
    const char *lines = BEGIN("openai") TURN("user", SAID("0", "q"))
        TURN("assistant", CALLED("0", "a")) "TURN user\n"
                                            "PART result legacy part=0 name=plain\"f\"\n" SAID(
                                                "0", "A") "PART_END part=0\nTURN_END\n";

    expect_turns(&anthropic, lines, "user['q'] assistant[c:a] user[r:a]");
}

Test(mend, empty_text_by_the_targets_rules)
{
    const char *lines = BEGIN("openai") TURN("user", BLANK("0") SAID("1", "q"))
        TURN("assistant", BLANK("0")) TURN("user", SAID("0", "r"));

    expect_turns(&anthropic, lines, "user['q' 'r']");
    expect_turns(&gemini, lines, "user['q' 'r']");
    expect_turns(&chat, lines, "user['' 'q'] assistant[''] user['r']");
    expect_turns(&anthropic, BEGIN("openai") TURN("user", BLANK("0")), "refused");
    expect_turns(&gemini, BEGIN("openai") TURN("user", BLANK("0")), "refused");
    expect_turns(&anthropic, BEGIN("openai") TURN("user", SAID("0", " ") SAID("1", "x")),
                 "user[' ' 'x']");
}

Test(mend, system_text_is_hoisted_or_stays)
{
    const char *lines = BEGIN("anthropic")
        TURN("system", SAID("0", "x-anthropic-billing-header: a") SAID("1", " ") SAID("2", "s"))
            TURN("user", SAID("0", "q"));

    expect_turns(&anthropic, lines, "hoisted['s'] user['q']");
    expect_turns(&chat, lines, "system['x-anthropic-billing-header: a' 's'] user['q']");
    kit.target.system_text = S("house");
    expect_turns(&anthropic, lines, "hoisted['s' 'house'] user['q']");
    expect_turns(&chat, lines,
                 "system['x-anthropic-billing-header: a' 's'] system['house'] user['q']");
    kit.target.system_mode = SYSTEM_OVERRIDE;
    expect_turns(&anthropic, lines, "hoisted['house'] user['q']");
    expect_turns(&chat, lines, "system['house'] user['q']");
    expect_turns(&chat, BEGIN("openai") TURN("user", SAID("0", "q")), "system['house'] user['q']");
}

Test(mend, first_and_last_turns)
{
    const char *lines = BEGIN("openai") TURN("assistant", SAID("0", "a"))
        TURN("user", SAID("0", "b")) TURN("assistant", SAID("0", "pre ") SAID("1", "  "));
    struct mend_rules rules = anthropic;

    expect_turns(&anthropic, lines,
                 "user['(continued)'] assistant['a'] user['b'] assistant['pre']");
    rules.prefill = MEND_PREFILL_REFUSE;
    expect_turns(&rules, lines,
                 "user['(continued)'] assistant['a'] user['b'] assistant['pre ' '  '] "
                 "user['Continue.']");
    expect_turns(&chat, lines, "assistant['a'] user['b'] assistant['pre ' '  ']");
    expect_turns(&anthropic, BEGIN("openai") TURN("system", SAID("0", "s")), "user['s']");
    expect_turns(&anthropic, BEGIN("openai"), "refused");
}

Test(mend, secrets_return_to_their_minter_only)
{
    /* anthropic NUL SIG, other NUL SIG */
    const char *lines = BEGIN("anthropic") TURN("user", SAID("0", "q"))
        TURN("assistant", THOUGHT("0", "mine", "gw1.a.YW50aHJvcGljAFNJRw")
                              THOUGHT("1", "theirs", "gw1.a.b3RoZXIAU0lH")
                                  THOUGHT("2", "native", "S") SAID("3", "t"))
            TURN("user", SAID("0", "r"));
    struct mend_rules echo = chat;

    kit.target.minter = S("anthropic");
    expect_turns(&anthropic, lines,
                 "user['q'] assistant[think:mine/SIG think:native/S 't'] user['r']");
    expect_turns(&chat, lines, "user['q'] assistant['t'] user['r']");
    echo.reason_echo = OC_REASON_ECHO_ALL;
    expect_turns(&echo, lines,
                 "user['q'] assistant[think:mine think:theirs think:native 't'] user['r']");
    echo.reason_echo = OC_REASON_ECHO_CALLS;
    expect_turns(&echo, lines, "user['q'] assistant['t'] user['r']");
    cr_expect(slice_eq(kit.brief.minter, S("anthropic")));
}

Test(mend, a_secret_on_a_call_moves_or_stays)
{
    /* google NUL SIG */
    const char *lines = BEGIN("openai") TURN(
        "user", SAID("0", "q")) "TURN assistant\n"
                                "PART call part=0 id=plain\"a\" name=plain\"f\"\n"
                                "FIELD seal part=0 plain\"gw1.g.Z29vZ2xlAFNJRw\" number=103\nTEXT "
                                "part=0 json {}\n"
                                "PART_END part=0\nTURN_END\n" TURN("user", ANSWERED("0", "a", "A"));
    struct mend_rules moving = gemini;

    kit.target.minter = S("google");
    expect_turns(&gemini, lines, "user['q'] assistant[c:a/SIG] user[r:a]");
    moving.seals_on_calls = false;
    expect_turns(&moving, lines, "user['q'] assistant[think:/SIG c:a] user[r:a]");
    kit.target.minter = S("else");
    expect_turns(&gemini, lines, "user['q'] assistant[c:a] user[r:a]");
}

/* A vault that kept one secret, of the family asked for by the target's minter. */
static bool find_kept(struct recall *recall, struct text call_id, uint32_t index,
                      struct slice minter, uint8_t *family, struct slice *seal,
                      struct slice *item_id, struct slice *reasoning)
{
    (void)recall;
    (void)item_id;
    if (!text_is(call_id, S("a")) || index > 0)
        return false;
    *family = slice_eq(minter, S("google")) ? IR_SEAL_THOUGHT : IR_SEAL_SIGNATURE;
    *seal = S("KEPT");
    *reasoning = S("kept");
    return true;
}

Test(mend, the_vault_answers_for_reasoning_that_came_without_its_secret)
{
    static struct recall vault = {.find = find_kept};
    const char *echoed = BEGIN("openai") TURN("user", SAID("0", "q"))
        TURN("assistant",
             "PART reason part=0\nTEXT part=0 plain said\nPART_END part=0\n" CALLED("1", "a"))
            TURN("user", ANSWERED("0", "a", "A"));
    struct mend_rules echo = chat;

    kit.target.recall = &vault;
    kit.target.minter = S("anthropic");
    expect_turns(&anthropic, echoed, "user['q'] assistant[think:kept/KEPT c:a] user[r:a]");
    kit.target.minter = S("google");
    expect_turns(&gemini, echoed, "user['q'] assistant[c:a/KEPT] user[r:a]");
    echo.reason_echo = OC_REASON_ECHO_CALLS; /* there the words are what is wanted */
    expect_turns(&echo, echoed, "user['q'] assistant[think:said c:a] user[r:a]");
}

Test(mend, a_secret_that_came_back_is_not_recalled_again)
{
    static struct recall vault = {.find = find_kept};
    /* google NUL SIG */
    const char *lines = BEGIN("anthropic") TURN("user", SAID("0", "q"))
        TURN("assistant", THOUGHT("0", "said", "gw1.g.Z29vZ2xlAFNJRw") CALLED("1", "a"))
            TURN("user", ANSWERED("0", "a", "A"));
    const char *apart = BEGIN("anthropic") TURN("user", SAID("0", "q"))
        TURN("assistant", THOUGHT("0", "said", "gw1.g.Z29vZ2xlAFNJRw") SAID("1", "t")
                              CALLED("2", "a")) TURN("user", ANSWERED("0", "a", "A"));

    kit.target.recall = &vault;
    kit.target.minter = S("google");
    expect_turns(&gemini, lines, "user['q'] assistant[think:said/SIG c:a] user[r:a]");
    /* of a thought that other words part from the call, the secret is the thought's own */
    expect_turns(&gemini, apart, "user['q'] assistant[think:said/SIG 't' c:a/KEPT] user[r:a]");
}

/* What a vault has of call `a`: words and SIG, and before them a redacted block. */
static bool find(struct recall *recall, struct text call_id, uint32_t index, struct slice minter,
                 uint8_t *family, struct slice *seal, struct slice *item_id,
                 struct slice *reasoning)
{
    bool is_google = slice_eq(minter, S("google"));

    (void)recall;
    (void)item_id;
    if (!text_is(call_id, S("a")) || index > (is_google ? 0u : 1u))
        return false;
    *family = is_google ? IR_SEAL_THOUGHT : index == 0 ? IR_SEAL_SIGNATURE : IR_SEAL_REDACTED;
    *seal = index == 0 ? S("SIG") : S("RED");
    *reasoning = index == 0 && !is_google ? S("words") : S("");
    return true;
}

/* Gemini CLI keeps no thoughts, only what stands on calls: `said` is what comes before them. */
#define SIGNED(n, id, seal, family)                                                               \
    "PART call part=" n " id=plain\"" id "\" name=plain\"f\"\nFIELD seal part=" n " plain\"" seal \
    "\" number=" family "\nTEXT part=" n " json {}\nPART_END part=" n "\n"

Test(mend, a_secret_on_a_call_without_its_thought_begins_the_turn)
{
    /* anthropic NUL SIG, OLD */
    const char *lines = BEGIN("gemini") TURN("user", SAID("0", "q"))
        TURN("assistant", SAID("0", "t") SIGNED("1", "a", "gw1.a.YW50aHJvcGljAFNJRw", "97")
                              SIGNED("2", "b", "gw1.a.YW50aHJvcGljAE9MRA", "97"))
            TURN("user", ANSWERED("0", "a", "A") ANSWERED("1", "b", "B"));
    struct recall recall = {.find = find};

    kit.target.minter = S("anthropic");
    expect_turns(&anthropic, lines,
                 "user['q'] assistant[think:/SIG 't' c:a think:/OLD c:b] user[r:a r:b]");
    kit.target.recall = &recall; /* the whole of it, where that is what was kept */
    expect_turns(
        &anthropic, lines,
        "user['q'] assistant[think:/RED think:words/SIG 't' c:a think:/OLD c:b] user[r:a r:b]");
    lines = BEGIN("gemini") TURN("user", SAID("0", "q"))
        TURN("assistant", SAID("0", "t") SIGNED("1", "a", "gw1.a.YW50aHJvcGljAE9MRA", "97"))
            TURN("user", ANSWERED("0", "a", "A"));
    expect_turns(&anthropic, lines, "user['q'] assistant[think:/OLD 't' c:a] user[r:a]");
}

Test(mend, what_came_back_beside_a_secret_on_a_call_is_not_recalled_again)
{
    /* anthropic NUL SIG, anthropic NUL RED */
    const char *lines = BEGIN("gemini") TURN("user", SAID("0", "q"))
        TURN("assistant", THOUGHT("0", "words", "gw1.a.YW50aHJvcGljAFNJRw") SAID("1", "t")
                              SIGNED("2", "a", "gw1.d.YW50aHJvcGljAFJFRA", "100"))
            TURN("user", ANSWERED("0", "a", "A"));
    struct recall recall = {.find = find};

    kit.target.minter = S("anthropic");
    expect_turns(&anthropic, lines,
                 "user['q'] assistant[think:words/SIG 't' think:/RED c:a] user[r:a]");
    kit.target.recall = &recall;
    expect_turns(&anthropic, lines,
                 "user['q'] assistant[think:/RED think:words/SIG 't' c:a] user[r:a]");
}

Test(mend, a_secret_before_a_call_is_said_once)
{
    /* google NUL SIG */
    const char *lines = BEGIN("openai-responses") TURN("user", SAID("0", "q"))
        TURN("assistant", SAID("0", "t") "PART reason part=1\nFIELD seal part=1 "
                                         "plain\"gw1.g.Z29vZ2xlAFNJRw\" number=103\n"
                                         "PART_END part=1\n" CALLED("2", "a") CALLED("3", "b"))
            TURN("user", ANSWERED("0", "a", "A") ANSWERED("1", "b", "B"));
    struct recall recall = {.find = find};

    kit.target.minter = S("google");
    expect_turns(&gemini, lines, "user['q'] assistant['t' c:a/SIG c:b] user[r:a r:b]");
    kit.target.recall = &recall;
    expect_turns(&gemini, lines, "user['q'] assistant['t' c:a/SIG c:b] user[r:a r:b]");
}

/* A vault that has as much as it may of every call, under the secret that the client returned. */
static bool find_all(struct recall *recall, struct text call_id, uint32_t index,
                     struct slice minter, uint8_t *family, struct slice *seal,
                     struct slice *item_id, struct slice *reasoning)
{
    (void)recall;
    (void)call_id;
    (void)minter;
    (void)item_id;
    *family = IR_SEAL_SIGNATURE;
    *seal = S("SIG");
    *reasoning = S("w");
    return index < RECALL_BLOCKS_MAX;
}

Test(mend, every_call_of_a_turn_gets_all_of_its_reasoning_back)
{
    struct rope lines = kit_rope(&kit);
    struct recall recall = {.find = find_all};
    uint32_t calls = 40, kinds[IR_PART_OPAQUE + 1] = {0};

    rope_put(&lines, S(BEGIN("gemini") TURN("user", SAID("0", "q")) "TURN assistant\n"));
    for (uint32_t i = 0; i < calls; i++) {
        rope_put(&lines, S("PART call part="));
        rope_put_u64(&lines, i);
        rope_put(&lines, S(" id=plain\"c"));
        rope_put_u64(&lines, i);
        rope_put(&lines, S("\" name=plain\"f\"\nFIELD seal part="));
        rope_put_u64(&lines, i);
        rope_put(&lines, S(" plain\"gw1.a.YW50aHJvcGljAFNJRw\" number=97\nPART_END part="));
        rope_put_u64(&lines, i);
        rope_put_char(&lines, '\n');
    }
    rope_put(&lines, S("TURN_END\n"));
    kit.target.minter = S("anthropic");
    kit.target.recall = &recall;
    cr_assert(kit_put_lines(&kit, kit_take(&kit, &lines), &tape.sink));
    cr_assert_eq(
        mend_build(&mend, &tape, &anthropic, &kit.target, &kit.brief, &kit.loss, &kit.fault),
        R2A_OK);
    for (uint32_t k = 0; k < mend.turns[1].count; k++)
        kinds[mend_part_at(&mend, &mend.turns[1], k)->kind]++;
    cr_expect_eq(kinds[IR_PART_CALL], calls);
    cr_expect_eq(kinds[IR_PART_REASON], calls * RECALL_BLOCKS_MAX);
}

Test(mend, blocks_of_another_protocol_are_left_out_by_name)
{
    const char *lines = BEGIN("anthropic") TURN("user", SAID("0", "q"))
        TURN("assistant", "PART opaque part=0 id=plain\"gemini\" name=plain\"executableCode\"\n"
                          "TEXT part=0 json {}\nPART_END part=0\n" SAID("1", "t"))
            TURN("user", SAID("0", "r"));

    expect_turns(&anthropic, lines, "user['q'] assistant['t'] user['r']");
    cr_expect(is_lost(&kit, "executableCode"));
}

Test(mend, many_calls_are_paired_in_time)
{
    static char lines[1 << 20];
    size_t len = 0;
    struct slice out;

    len += (size_t)snprintf(lines + len, sizeof(lines) - len, BEGIN("openai") "TURN assistant\n");
    for (int i = 0; i < 3000; i++)
        len += (size_t)snprintf(
            lines + len, sizeof(lines) - len,
            "PART call part=%d id=plain\"c%d\" name=plain\"f\"\nPART_END part=%d\n", i, i, i);
    len += (size_t)snprintf(lines + len, sizeof(lines) - len, "TURN_END\nTURN user\n");
    for (int i = 0; i < 3000; i++)
        len += (size_t)snprintf(lines + len, sizeof(lines) - len,
                                "PART result part=%d id=plain\"c%d\"\nPART_END part=%d\n", i,
                                2999 - i, i);
    (void)snprintf(lines + len, sizeof(lines) - len, "TURN_END\n");
    out = assembled(&anthropic, lines);
    cr_expect(str_ends(out, S("r:c2998 r:c2999]")));
    cr_expect_eq(mend.dangling + mend.orphans, 0u);
}

/* --- what always holds --- */

static uint32_t seed;

static uint32_t below(uint32_t bound)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % bound;
}

static void put_random_part(uint32_t part, bool is_user)
{
    static const char *const texts[] = {"", " ", "x", "y "};
    char id[2] = {(char)('a' + below(4)), '\0'};
    const char *text = texts[below(4)];
    struct ir_event open = {.kind = IR_PART, .what = IR_PART_TEXT, .part = part};
    struct ir_event body = {.kind = IR_TEXT, .part = part};

    if (below(2) == 0) {
        open.what = is_user ? IR_PART_RESULT : IR_PART_CALL;
        open.u.open.id = text_plain(arena_copy(&kit.arena, slice_from_z(id)));
        open.u.open.name = text_plain(S("f"));
    }
    (void)ir_put(&tape.sink, &open);
    if (open.what == IR_PART_TEXT && text[0] != '\0') {
        body.u.text = text_plain(slice_from_z(text));
        (void)ir_put(&tape.sink, &body);
    }
    (void)ir_put(&tape.sink, &(struct ir_event){.kind = IR_PART_END, .part = part});
}

static void make_conversation(void)
{
    uint32_t turns = 1 + below(8);

    ir_tape_clear(&tape);
    (void)ir_put(&tape.sink, &(struct ir_event){.kind = IR_BEGIN});
    for (uint32_t i = 0; i < turns; i++) {
        static const uint8_t roles[] = {IR_ROLE_USER, IR_ROLE_ASSISTANT, IR_ROLE_USER,
                                        IR_ROLE_ASSISTANT, IR_ROLE_SYSTEM};
        uint8_t role = roles[below(5)];
        uint32_t parts = below(4);

        (void)ir_put(&tape.sink, &(struct ir_event){.kind = IR_TURN, .what = role});
        for (uint32_t part = 0; part < parts; part++) {
            if (role == IR_ROLE_SYSTEM) {
                (void)ir_put(&tape.sink, &(struct ir_event){.kind = IR_PART, .part = part});
                (void)ir_put(&tape.sink, &(struct ir_event){.kind = IR_TEXT,
                                                            .part = part,
                                                            .u.text = text_plain(S("s"))});
                (void)ir_put(&tape.sink, &(struct ir_event){.kind = IR_PART_END, .part = part});
            } else {
                put_random_part(part, role == IR_ROLE_USER);
            }
        }
        (void)ir_put(&tape.sink, &(struct ir_event){.kind = IR_TURN_END, .what = role});
    }
    (void)ir_put(&tape.sink, &(struct ir_event){.kind = IR_END});
}

/* Results directly after their calls, first, in order, one each; nowhere else. */
static void check_pairs(void)
{
    for (uint32_t i = 0; i < mend.turns_count; i++) {
        const struct mend_turn *turn = &mend.turns[i];
        const struct mend_turn *next = i + 1 < mend.turns_count ? &mend.turns[i + 1] : NULL;
        uint32_t answered = 0;

        for (uint32_t k = 0; k < turn->count; k++) {
            const struct mend_part *part = mend_part_at(&mend, turn, k);

            cr_assert_eq(part->kind == IR_PART_RESULT, k < turn->results, "seed %u", seed);
            if (part->kind != IR_PART_CALL)
                continue;
            cr_assert_eq(turn->role, IR_ROLE_ASSISTANT);
            cr_assert(next != NULL && next->role == IR_ROLE_USER && answered < next->results,
                      "seed %u", seed);
            cr_assert_eq(mend.order[next->first + answered], part->pair, "seed %u", seed);
            cr_assert_eq(&mend.parts[mend.parts[part->pair].pair], part);
            answered++;
        }
        if (next != NULL)
            cr_assert_eq(next->results, answered, "seed %u", seed);
    }
    cr_assert_eq(mend.turns[0].results, 0u);
}

static void check_strict(void)
{
    cr_assert_eq(mend.turns[0].role, IR_ROLE_USER);
    for (uint32_t i = 0; i < mend.turns_count; i++) {
        const struct mend_turn *turn = &mend.turns[i];
        bool says = false;

        cr_assert_gt(turn->count, 0u);
        if (i > 0)
            cr_assert_neq(turn->role, mend.turns[i - 1].role, "seed %u", seed);
        for (uint32_t k = 0; k < turn->count; k++) {
            struct rope rope = kit_rope(&kit);
            const struct mend_part *part = mend_part_at(&mend, turn, k);
            struct slice text;

            if (part->kind != IR_PART_TEXT) {
                says = true;
                continue;
            }
            mend_write_text(&mend, part, &rope);
            text = kit_take(&kit, &rope);
            cr_assert_gt(text.len, 0u, "seed %u: empty text", seed);
            says |= str_trim_lines(text).len > 0;
        }
        cr_assert(says, "seed %u: a blank turn", seed);
    }
}

Test(mend, what_always_holds)
{
    const struct mend_rules *const all[] = {&anthropic, &gemini, &chat};
    uint32_t built = 0;

    for (uint32_t i = 0; i < 6000; i++) {
        seed = i * 2654435761u;
        make_conversation();
        for (uint32_t k = 0; k < 3; k++) {
            if (mend_build(&mend, &tape, all[k], &kit.target, &kit.brief, &kit.loss, &kit.fault) !=
                R2A_OK)
                continue;
            built++;
            check_pairs();
            if (k == 0)
                check_strict();
        }
        kit_again(&kit);
    }
    cr_expect_gt(built, 6000u);
}
