#include "codec.h"
#include "src/core/asan.h"

/* What a translated stream holds while it waits for the next token. */

#define PROTOS 4u

static struct kit kit;

static void open_kit(void)
{
    kit_open(&kit);
}

static void close_kit(void)
{
    kit_close(&kit);
}

TestSuite(stream_state, .init = open_kit, .fini = close_kit);

/* The beginning of an answer: two pieces of text, so that moulds are made. */
static const struct {
    const struct proto *proto;
    const char *events[8];
} rows[PROTOS] = {
    {&proto_openai_chat,
     {"{'id':'chatcmpl-1','object':'chat.completion.chunk','created':1,'model':'m','choices':[{"
      "'index':0,'delta':{'role':'assistant','content':''},'finish_reason':null}]}",
      "{'id':'chatcmpl-1','object':'chat.completion.chunk','created':1,'model':'m','choices':[{"
      "'index':0,'delta':{'content':'some'},'finish_reason':null}]}",
      "{'id':'chatcmpl-1','object':'chat.completion.chunk','created':1,'model':'m','choices':[{"
      "'index':0,'delta':{'content':' words'},'finish_reason':null}]}"}},
    {&proto_openai_responses,
     {"{'type':'response.created','sequence_number':0,'response':{'id':'resp_1','object':'response'"
      ","
      "'created_at':1,'status':'in_progress','model':'m','output':[]}}",
      "{'type':'response.output_item.added','sequence_number':1,'output_index':0,'item':{'id':'msg_"
      "1',"
      "'type':'message','status':'in_progress','content':[],'role':'assistant'}}",
      "{'type':'response.content_part.added','sequence_number':2,'item_id':'msg_1','output_index':"
      "0,"
      "'content_index':0,'part':{'type':'output_text','annotations':[],'logprobs':[],'text':''}}",
      "{'type':'response.output_text.delta','sequence_number':3,'item_id':'msg_1','output_index':0,"
      "'content_index':0,'delta':'some','logprobs':[]}",
      "{'type':'response.output_text.delta','sequence_number':4,'item_id':'msg_1','output_index':0,"
      "'content_index':0,'delta':' words','logprobs':[]}"}},
    {&proto_anthropic,
     {"{'type':'message_start','message':{'id':'msg_1','type':'message','role':'assistant','model':"
      "'m','content':[],'stop_reason':null,'stop_sequence':null,'usage':{'input_tokens':9,"
      "'output_tokens':1}}}",
      "{'type':'content_block_start','index':0,'content_block':{'type':'text','text':''}}",
      "{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'some'}}",
      "{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':' words'}}"}},
    {&proto_gemini,
     {"{'candidates':[{'content':{'parts':[{'text':'some'}],'role':'model'},'index':0}],"
      "'usageMetadata':{'promptTokenCount':9,'candidatesTokenCount':1,'totalTokenCount':10},"
      "'modelVersion':'m','responseId':'r'}",
      "{'candidates':[{'content':{'parts':[{'text':' words'}],'role':'model'},'index':0}],"
      "'usageMetadata':{'promptTokenCount':9,'candidatesTokenCount':2,'totalTokenCount':11},"
      "'modelVersion':'m','responseId':'r'}"}},
};

/* Bytes in use for an answer under way that goes from one dialect to another. */
static size_t state_of(const struct proto *client, const struct proto *upstream,
                       const char *const *events)
{
    struct rope out = kit_rope(&kit);
    struct kit_encoder sink = {.sink.put = kit_encoder_put, .proto = client, .out = &out};
    struct frame frames[8];
    uint32_t count = 0;
    size_t bytes;
    void *decoder;

    for (; events[count] != NULL; count++) {
        char *json = strdup(events[count]);

        for (char *c = json; *c != '\0'; c++)
            *c = *c == '\'' ? '"' : *c;
        frames[count] = (struct frame){.kind = FRAME_DATA, .data = slice_from_z(json)};
    }
    kit_again(&kit);
    cr_assert_eq(mem_charged(kit.mem), 0);
    kit.target.proto = upstream;
    decoder = arena_take_zero(&kit.arena, upstream->decoder_size);
    sink.encoder = arena_take_zero(&kit.arena, client->encoder_size);
    upstream->decoder_init(decoder, &kit.target, &kit.brief);
    client->encoder_init(sink.encoder, &kit.brief);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(upstream->decode(decoder, &frames[i], &sink.sink), R2A_OK);
    cr_assert_gt(out.bytes, 0);
    rope_clear(&out); /* it has left */
    bytes = mem_charged(kit.mem);
    if (client->encoder_drop != NULL)
        client->encoder_drop(sink.encoder);
    if (upstream->decoder_drop != NULL)
        upstream->decoder_drop(decoder);
    while (count > 0)
        free((char *)(uintptr_t)frames[--count].data.ptr);
    return bytes;
}

/* Also the text that some clients are told again in the end is in it: here, eleven bytes. */
Test(stream_state, of_a_translated_stream_is_4_kib_at_most)
{
    for (uint32_t c = 0; c < PROTOS; c++) {
        for (uint32_t u = 0; u < PROTOS; u++) {
            size_t bytes = state_of(rows[c].proto, rows[u].proto, rows[u].events);

            /* There each piece is a block of its own, rounded up to its class. */
            cr_expect_leq(bytes, R2A_ASAN ? 8192 : 4096, "%.*s to %.*s: %zu bytes",
                          (int)rows[c].proto->name.len, rows[c].proto->name.ptr,
                          (int)rows[u].proto->name.len, rows[u].proto->name.ptr, bytes);
        }
    }
}
