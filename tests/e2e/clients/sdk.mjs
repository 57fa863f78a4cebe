// Runs the official Node clients. What a case is, and what is expected of it, is decided in test_sdk.py; sdk.py beside this file
// does the same with the Python clients.
import { answer, cases, load } from './cases.mjs';

const apis = new Set(cases.map((c) => c.api));
const OpenAI = apis.has('openai') || apis.has('responses') ? (await load('openai')).default : null;
const Anthropic = apis.has('anthropic') ? (await load('@anthropic-ai/sdk')).default : null;

const ofChat = (m, usage) => ({
  text: m.message.content ?? '',
  thinking: m.message.reasoning_content ?? '',
  calls: (m.message.tool_calls ?? []).map((c) => [c.id, c.function.name, JSON.parse(c.function.arguments || '{}')]),
  finish: m.finish_reason,
  usage: usage && { in: usage.prompt_tokens, out: usage.completion_tokens, cached: usage.prompt_tokens_details?.cached_tokens ?? 0, reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0 },
});
const ofMessage = (m) => ({
  text: m.content.filter((b) => b.type === 'text').map((b) => b.text).join(''),
  thinking: m.content.filter((b) => b.type === 'thinking').map((b) => b.thinking).join(''),
  signature: m.content.find((b) => b.type === 'thinking')?.signature,
  redacted: m.content.find((b) => b.type === 'redacted_thinking')?.data,
  blocks: m.content.map((b) => b.type),
  calls: m.content.filter((b) => b.type === 'tool_use').map((b) => [b.id, b.name, b.input]),
  finish: m.stop_reason,
  sequence: m.stop_sequence,
  usage: { in: m.usage.input_tokens, out: m.usage.output_tokens, cached: m.usage.cache_read_input_tokens ?? 0, written: m.usage.cache_creation_input_tokens ?? 0 },
});

async function chat(client, one, params) {
  if (one.mode === 'plain') {
    const { data, response } = await client.chat.completions.create(params).withResponse();
    return { ...ofChat(data.choices[0], data.usage), model: data.model, message: data.choices[0].message, header: response.headers.get('x-request-id'), dropped: response.headers.get('x-ring2api-dropped') };
  }
  if (one.mode === 'parse') {
    const data = await client.chat.completions.parse(params);
    return { ...ofChat(data.choices[0], data.usage), parsed: data.choices[0].message.parsed, model: data.model, message: data.choices[0].message };
  }
  if (one.mode === 'helper') {
    const stream = client.chat.completions.stream(params);
    let text = '';
    stream.on('content', (d) => (text += d));
    const data = await stream.finalChatCompletion();
    if (text !== (data.choices[0].message.content ?? '')) throw new Error('content events differ from the message');
    return { ...ofChat(data.choices[0], data.usage), parsed: data.choices[0].message.parsed, model: data.model, message: data.choices[0].message };
  }
  const stream = await client.chat.completions.create({ ...params, stream: true, ...(one.usage === false ? {} : { stream_options: { include_usage: true } }) });
  const message = { role: 'assistant', content: null };
  let usage, finish, model, chunks = 0;
  for await (const chunk of stream) {
    chunks++;
    model = chunk.model;
    if (chunk.usage) usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    if (choice.delta.content) message.content = (message.content ?? '') + choice.delta.content;
    if (choice.delta.reasoning_content) message.reasoning_content = (message.reasoning_content ?? '') + choice.delta.reasoning_content;
    for (const part of choice.delta.tool_calls ?? []) {
      message.tool_calls ??= [];
      const call = (message.tool_calls[part.index] ??= { id: part.id, type: part.type, function: { name: part.function.name, arguments: '' } });
      call.function.arguments += part.function?.arguments ?? '';
    }
    if (choice.finish_reason) finish = choice.finish_reason;
  }
  return { ...ofChat({ message, finish_reason: finish }, usage), model, message, chunks };
}

async function messages(client, one, params) {
  if (one.mode === 'plain') {
    const { data, response } = await client.messages.create(params).withResponse();
    return { ...ofMessage(data), model: data.model, message: data, header: response.headers.get('request-id'), dropped: response.headers.get('x-ring2api-dropped') };
  }
  if (one.mode === 'parse') {
    const data = await client.messages.parse(params);
    return { ...ofMessage(data), parsed: data.parsed_output, model: data.model, message: data };
  }
  if (one.mode === 'helper') {
    const stream = client.messages.stream(params);
    let text = '';
    stream.on('text', (d) => (text += d));
    const data = await stream.finalMessage();
    if (text !== ofMessage(data).text) throw new Error('text events differ from the message');
    return { ...ofMessage(data), model: data.model, message: data };
  }
  const stream = await client.messages.create({ ...params, stream: true });
  let data, json = {};
  for await (const event of stream) {
    if (event.type === 'message_start') data = event.message;
    else if (event.type === 'content_block_start') data.content[event.index] = { ...event.content_block };
    else if (event.type === 'content_block_delta') {
      const block = data.content[event.index], delta = event.delta;
      if (delta.type === 'text_delta') block.text += delta.text;
      else if (delta.type === 'thinking_delta') block.thinking += delta.thinking;
      else if (delta.type === 'signature_delta') block.signature = delta.signature;
      else if (delta.type === 'input_json_delta') json[event.index] = (json[event.index] ?? '') + delta.partial_json;
    } else if (event.type === 'content_block_stop') {
      if (data.content[event.index].type === 'tool_use') data.content[event.index].input = JSON.parse(json[event.index] || '{}');
    } else if (event.type === 'message_delta') {
      data.stop_reason = event.delta.stop_reason;
      data.stop_sequence = event.delta.stop_sequence;
      Object.assign(data.usage, event.usage);
    } else if (event.type === 'message_stop') data.stopped = true;
  }
  if (!data.stopped) throw new Error('no message_stop');
  return { ...ofMessage(data), model: data.model, message: data };
}

const ofResponse = (r) => ({
  text: r.output_text ?? r.output.filter((i) => i.type === 'message').flatMap((i) => i.content).map((p) => p.text ?? '').join(''),
  thinking: r.output.filter((i) => i.type === 'reasoning').flatMap((i) => i.summary).map((s) => s.text).join(''),
  encrypted: r.output.find((i) => i.type === 'reasoning')?.encrypted_content,
  calls: r.output.filter((i) => i.type === 'function_call').map((i) => [i.call_id, i.name, JSON.parse(i.arguments)]),
  finish: r.status,
  usage: r.usage && { in: r.usage.input_tokens, out: r.usage.output_tokens, cached: r.usage.input_tokens_details?.cached_tokens ?? 0, reasoning: r.usage.output_tokens_details?.reasoning_tokens ?? 0 },
  model: r.model,
  output: r.output,
});

async function responses(client, one, params) {
  if (one.mode === 'plain') return ofResponse(await client.responses.create(params));
  if (one.mode === 'parse') {
    const data = await client.responses.parse(params);
    return { ...ofResponse(data), parsed: data.output_parsed };
  }
  if (one.mode === 'helper') {
    const stream = client.responses.stream(params);
    let text = '';
    stream.on('response.output_text.delta', (e) => (text += e.delta));
    const data = await stream.finalResponse();
    if (text !== ofResponse(data).text) throw new Error('text events differ from the response');
    return ofResponse(data);
  }
  let text = '', last, number = 0;
  for await (const event of await client.responses.create({ ...params, stream: true })) {
    if (event.sequence_number !== number++) throw new Error('sequence_number');
    if (event.type === 'response.output_text.delta') text += event.delta;
    if (event.response) last = event.response;
    if (event.type === 'response.failed' || event.type === 'error') throw new Error('failed: ' + JSON.stringify(event.error ?? event.response?.error ?? event));
  }
  if (text !== ofResponse(last).text) throw new Error('deltas differ from the response');
  return { ...ofResponse(last), chunks: number };
}

const bare = (block) => {
  const { type, text, thinking, signature, data, id, name, input } = block;
  return JSON.parse(JSON.stringify({ type, text, thinking, signature, data, id, name, input }));
};

function followUp(one, first) {
  const params = structuredClone(one.params);
  if (one.api === 'responses') {
    params.input.push(...JSON.parse(JSON.stringify(first.output, (key, value) => (key === 'parsed_arguments' || key === 'parsed' ? undefined : value))));
    for (const [id, name] of first.calls) params.input.push({ type: 'function_call_output', call_id: id, output: one.results[name] });
  } else if (one.api === 'openai') {
    const { role, content, tool_calls } = first.message;
    params.messages.push({ role, content, tool_calls: tool_calls?.map(({ id, type, function: { name, arguments: a } }) => ({ id, type, function: { name, arguments: a } })) });
    for (const [id, name] of first.calls) params.messages.push({ role: 'tool', tool_call_id: id, content: one.results[name] });
  } else {
    params.messages.push({ role: 'assistant', content: first.message.content.map(bare) });
    params.messages.push({ role: 'user', content: first.calls.map(([id, name]) => ({ type: 'tool_result', tool_use_id: id, content: one.results[name] })) });
  }
  return params;
}

async function perform(one, out) {
  const options = { baseURL: one.base, apiKey: one.key, maxRetries: one.retries ?? 0, timeout: 20000, defaultHeaders: one.headers ?? {} };
  const client = one.api === 'anthropic' ? new Anthropic(options) : new OpenAI(options);
  const ask = { responses, openai: chat, anthropic: messages }[one.api];
  if (one.mode === 'models') out.models = (await client.models.list(one.api === 'anthropic' ? { limit: 1000 } : undefined)).data.map((m) => m.id);
  else if (one.mode === 'count') out.count = (await client.messages.countTokens(one.params)).input_tokens;
  else {
    out.first = await ask(client, one, one.params);
    if (one.results) out.second = await ask(client, one, followUp(one, out.first));
  }
}

await answer(perform, (e) => ({ class: e.constructor.name, status: e.status ?? null, type: e.error?.error?.type ?? e.type ?? e.error?.type ?? null, code: e.code ?? null, message: String(e.message), id: e.requestID ?? e.request_id ?? null,
  retry: e.headers?.get?.('retry-after') ?? null, stack: String(e.stack).slice(0, 800) }));
