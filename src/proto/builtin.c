#include "builtin.h"

#include "member.h"
#include "r2a/core/check.h"
#include "r2a/core/str.h"
#include "r2a/json/text.h"

/* The table of tools that a vendor defines and the client runs: how each looks as a function, and
 * how a call of that function becomes the vendor's own kind of call again. */

#define EDITS   "Views, creates and edits files. insert puts its text behind line insert_line."
#define EDITING "*path:s file_text:s old_str:s new_str:s insert_line:i view_range:I"

/* Inputs are written NAME:TYPE or NAME=WORD|WORD…, with * before what is required. Types: b
 * boolean, i integer, n number, s string, I and S arrays of these, O object of strings. */
static const struct {
    char type[20]; /* Anthropic's carry a date behind it */
    char name[28]; /* of the function */
    const char *description, *inputs;
} rows[BUILTINS] = {
    [BUILTIN_LOCAL_SHELL] = {"local_shell", "local_shell",
                             "Runs a command on the user's machine and returns its output.",
                             "*command:S env:O timeout_ms:i working_directory:s user:s"},
    [BUILTIN_SHELL] = {"shell", "shell", "Runs shell commands and returns the output of each.",
                       "*commands:S timeout_ms:i max_output_length:i"},
    [BUILTIN_APPLY_PATCH] =
        {"apply_patch", "apply_patch",
         "Creates, updates or deletes one file. diff is in V4A format; a deletion needs none.",
         "*type=create_file|update_file|delete_file *path:s diff:s"},
    [BUILTIN_BASH] = {"bash_2", "bash",
                      "Runs a command in a persistent bash session; restart begins a new one.",
                      "command:s restart:b"},
    [BUILTIN_EDITOR_2024] = {"text_editor_2024", "str_replace_editor", EDITS,
                             "*command=view|create|str_replace|insert|undo_edit " EDITING},
    [BUILTIN_EDITOR_202501] = {"text_editor_202501", "str_replace_editor", EDITS,
                               "*command=view|create|str_replace|insert|undo_edit " EDITING},
    [BUILTIN_EDITOR] = {"text_editor_2", "str_replace_based_edit_tool", EDITS,
                        "*command=view|create|str_replace|insert " EDITING " insert_text:s"},
    [BUILTIN_MEMORY] = {"memory_2", "memory",
                        "Keeps notes as files under /memories, to be read in later conversations.",
                        "*command=view|create|str_replace|insert|delete|rename path:s file_text:s "
                        "old_str:s new_str:s insert_line:i insert_text:s view_range:I old_path:s "
                        "new_path:s"},
    [BUILTIN_COMPUTER] =
        {"computer_2", "computer", "Controls mouse, keyboard and screen of a computer.",
         "*action=key|type|mouse_move|left_click|left_click_drag|right_click|middle_click|"
         "double_click|screenshot|cursor_position|left_mouse_down|left_mouse_up|triple_click|"
         "scroll|hold_key|wait|zoom coordinate:I text:s start_coordinate:I "
         "scroll_direction=up|down|left|right scroll_amount:i duration:n region:I"},
};
#define SCHEMA_ROOM 2048u /* the longest has some 1,100 bytes */

static struct slice type_of(uint32_t id)
{
    return slice_from_z(rows[id].type);
}

enum builtin_id builtin_of_anthropic(struct text type)
{
    for (uint32_t i = BUILTIN_RAISED + 1; i < BUILTINS && type.len > 0; i++)
        if (text_starts(type, type_of(i)))
            return (enum builtin_id)i;
    return BUILTIN_NONE;
}

enum builtin_id builtin_of_responses(struct text type)
{
    for (uint32_t i = BUILTIN_NONE + 1; i <= BUILTIN_RAISED && type.len > 0; i++)
        if (text_is(type, type_of(i)))
            return (enum builtin_id)i;
    return BUILTIN_NONE;
}

/* --- tools --- */

static __attribute__((cold)) void write_type(struct str_buf *out, char letter)
{
    bool is_list = letter == 'I' || letter == 'S';

    if (is_list)
        str_buf_put(out, S("{\"type\":\"array\",\"items\":"));
    else if (letter == 'O')
        str_buf_put(out, S("{\"type\":\"object\",\"additionalProperties\":"));
    str_buf_put(out, S("{\"type\":\""));
    switch (letter) {
    case 'b':
        str_buf_put(out, S("boolean"));
        break;
    case 'i':
    case 'I':
        str_buf_put(out, S("integer"));
        break;
    case 'n':
        str_buf_put(out, S("number"));
        break;
    default:
        str_buf_put(out, S("string"));
        break;
    }
    str_buf_put(out, is_list || letter == 'O' ? S("\"}}") : S("\"}"));
}

static __attribute__((cold)) void write_words(struct str_buf *out, struct slice words)
{
    str_buf_put(out, S("{\"type\":\"string\",\"enum\":[\""));
    for (size_t i = 0; i < words.len; i++) {
        if (words.ptr[i] == '|')
            str_buf_put(out, S("\",\""));
        else
            str_buf_put_char(out, words.ptr[i]);
    }
    str_buf_put(out, S("\"]}"));
}

/* The inputs as a JSON Schema; in a second pass those that are required. */
static __attribute__((cold)) void write_schema(struct str_buf *out, const char *inputs)
{
    str_buf_put(out, S("{\"type\":\"object\",\"properties\":{"));
    for (uint32_t pass = 0; pass < 2; pass++) {
        struct slice rest = slice_from_z(inputs);
        bool is_first = true;

        while (rest.len > 0) {
            struct slice input = slice_head(rest, str_find_char(rest, ' ')), name;
            bool is_required = input.ptr[0] == '*';

            rest = slice_skip(rest, input.len < rest.len ? input.len + 1 : input.len);
            if (pass == 1 && !is_required)
                continue;
            input = slice_skip(input, is_required);
            name = slice_head(input, strcspn(input.ptr, ":="));
            input = slice_skip(input, name.len);
            if (pass == 1 && is_first)
                str_buf_put(out, S("},\"required\":["));
            str_buf_put(out, is_first ? S("\"") : S(",\""));
            is_first = false;
            str_buf_put(out, name);
            str_buf_put(out, pass == 0 ? S("\":") : S("\""));
            if (pass == 0 && input.ptr[0] == ':')
                write_type(out, input.ptr[1]);
            else if (pass == 0)
                write_words(out, slice_skip(input, 1));
        }
        if (pass == 1)
            str_buf_put(out, is_first ? S("}}") : S("]}"));
    }
}

__attribute__((noinline, cold)) enum r2a_err builtin_put(struct ir_sink *tape, enum builtin_id id,
                                                         uint8_t flags, struct text type,
                                                         struct text name, struct slice note,
                                                         struct slice raw, struct arena *arena)
{
    size_t size = slice_from_z(rows[id].description).len + note.len;
    char *to = arena_take(arena, size + SCHEMA_ROOM);
    struct str_buf description = {.ptr = to, .size = size}, schema = {.size = SCHEMA_ROOM};
    struct ir_event events[] = {
        {.kind = IR_TOOL, .what = IR_TOOL_JSON, .flags = flags},
        {.kind = IR_FIELD, .what = IR_FIELD_DESCRIPTION},
        {.kind = IR_FIELD, .what = IR_FIELD_SCHEMA},
        {.kind = IR_FIELD, .what = IR_FIELD_RAW},
        {.kind = IR_TOOL_END, .what = IR_TOOL_JSON},
    };
    enum r2a_err err = R2A_OK;

    if (to == NULL)
        return R2A_ERR_NO_MEMORY;
    schema.ptr = to + size;
    str_buf_put(&description, slice_from_z(rows[id].description));
    str_buf_put(&description, note);
    write_schema(&schema, rows[id].inputs);
    events[0].u.open.id = type;
    events[0].u.open.name = name.len > 0 ? name : text_plain(slice_from_z(rows[id].name));
    events[1].u.field.value = text_plain(str_buf_slice(&description));
    events[2].u.field.value = text_json(str_buf_slice(&schema));
    events[3].u.field.value = text_json(raw);
    for (uint32_t i = 0; i < array_count(events) && err == R2A_OK; i++)
        err = ir_put(tape, &events[i]);
    return err;
}

/* --- calls --- */

#define RAISE_MEMBERS_MAX 5u

/* `begin` member… }. A member that the model left out is its `otherwise`, or nothing. */
static const struct raise {
    char begin[56];
    char names[RAISE_MEMBERS_MAX][18];
    char otherwise[RAISE_MEMBERS_MAX][14];
    uint8_t count;
    uint8_t stray; /* the member that shows what was no object */
} raises[BUILTIN_RAISED + 1] = {
    [BUILTIN_LOCAL_SHELL] = {.begin = ",\"type\":\"local_shell_call\",\"action\":{\"type\":"
                                      "\"exec\"",
                             .names = {"command", "env", "timeout_ms", "working_directory", "user"},
                             .otherwise = {"[]", "{}"},
                             .count = 5},
    [BUILTIN_SHELL] = {.begin = ",\"type\":\"shell_call\",\"environment\":null,\"action\":{",
                       .names = {"commands", "timeout_ms", "max_output_length"},
                       .otherwise = {"[]", "null", "null"},
                       .count = 3},
    [BUILTIN_APPLY_PATCH] = {.begin = ",\"type\":\"apply_patch_call\",\"operation\":{",
                             .names = {"type", "path", "diff"},
                             .otherwise = {"\"update_file\"", "\"\""},
                             .count = 3,
                             .stray = 2},
};

static bool members_of_call(const struct raise *raise, struct slice args, struct member *members)
{
    struct slice names[RAISE_MEMBERS_MAX];

    for (uint32_t i = 0; i < raise->count; i++)
        names[i] = slice_from_z(raise->names[i]);
    return members_of(args, names, raise->count, members);
}

static bool is_list(const struct raise *raise, uint32_t i)
{
    return raise->otherwise[i][0] == '[';
}

/* A model may write one command where a list of them belongs. */
static void write_value(const struct raise *raise, uint32_t i, const struct member *value,
                        struct rope *out)
{
    bool wraps = is_list(raise, i) && value->kind == JSON_STRING;

    rope_put(out, wraps ? S("[") : S(""));
    rope_put(out, value->kind == JSON_ERROR ? slice_from_z(raise->otherwise[i]) : value->raw);
    rope_put(out, wraps ? S("]") : S(""));
}

static void write_stray(bool is_list, struct slice args, struct rope *out)
{
    rope_put(out, is_list ? S("[\"") : S("\""));
    text_write_escaped_copy(out, text_plain(args));
    rope_put(out, is_list ? S("\"]") : S("\""));
}

__attribute__((noinline, cold)) void builtin_write_call(enum builtin_id id, struct slice args,
                                                        struct rope *out)
{
    const struct raise *raise = &raises[id];
    struct member members[RAISE_MEMBERS_MAX] = {{0}};
    bool is_object = members_of_call(raise, args, members);
    struct slice begin = slice_from_z(raise->begin);
    bool is_first = begin.ptr[begin.len - 1] == '{';

    if (!is_object)
        memset(members, 0, sizeof(members));
    rope_put(out, begin);
    for (uint32_t i = 0; i < raise->count; i++) {
        bool is_stray = !is_object && args.len > 0 && i == raise->stray;

        if (members[i].kind == JSON_ERROR && raise->otherwise[i][0] == '\0' && !is_stray)
            continue;
        rope_put(out, is_first ? S("\"") : S(",\""));
        is_first = false;
        rope_put(out, slice_from_z(raise->names[i]));
        rope_put(out, S("\":"));
        if (is_stray)
            write_stray(is_list(raise, i), args, out);
        else
            write_value(raise, i, &members[i], out);
    }
    rope_put_char(out, '}');
}

__attribute__((noinline, cold)) bool builtin_shell_command(struct slice args, uint32_t k,
                                                           struct slice *command)
{
    static const struct slice name = S_INIT("commands");
    struct member commands;
    struct json_scan scan;
    enum json_token token;

    if (!members_of(args, &name, 1, &commands))
        return false;
    if (commands.kind == JSON_STRING) {
        *command = commands.raw;
        return k == 0;
    }
    if (commands.kind != JSON_ARRAY)
        return false;
    json_open(&scan, commands.raw);
    (void)json_next(&scan);
    while ((token = json_next(&scan)) != JSON_ARRAY_END && token != JSON_ERROR)
        if (!json_skip_after(&scan, token, command) || (token == JSON_STRING && k-- == 0))
            break;
    return token == JSON_STRING;
}
