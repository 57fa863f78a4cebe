// Runs the AI SDK (npm ai) with one of its providers. What a case is, and what is expected of it, is decided in libraries.py.
import { answer, cases, load } from './cases.mjs';

const { generateText, streamText, generateObject, streamObject, jsonSchema, tool, isStepCount, Output } = await load('ai');
globalThis.AI_SDK_LOG_WARNINGS = false;
const providers = {
  openai: { create: (await load('@ai-sdk/openai')).createOpenAI, path: '/v1', pick: (p, id) => p.chat(id) },
  responses: { create: (await load('@ai-sdk/openai')).createOpenAI, path: '/v1', pick: (p, id) => p.responses(id) },
  compatible: { create: (await load('@ai-sdk/openai-compatible')).createOpenAICompatible, path: '/v1', more: { name: 'gateway', includeUsage: true, supportsStructuredOutputs: true }, pick: (p, id) => p(id) },
  anthropic: { create: (await load('@ai-sdk/anthropic')).createAnthropic, path: '/v1', pick: (p, id) => p(id) },
  gemini: { create: (await load('@ai-sdk/google')).createGoogle, path: '/v1beta', pick: (p, id) => p(id) },
};
// What a user has to say beside the common options: a foreign upstream stores nothing, and Gemini's thoughts are shown on request.
const options = {
  responses: (one) => ({ openai: { store: one.store ?? false, ...(one.reasoning ? { reasoningSummary: 'auto' } : {}) } }),
  gemini: (one) => (one.reasoning ? { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } } } : {}),
};

const parts = {
  text: (p) => p,
  image: (p) => ({ type: 'image', image: p.data, mediaType: 'image/png' }),
  document: (p) => ({ type: 'file', data: p.data, mediaType: 'application/pdf', filename: 'a.pdf' }),
};
/* result: what it gives: words, or words and an image, or a failure; without one the call stays unanswered. */
function toolOf({ description, schema }, result) {
  const made = { description, inputSchema: jsonSchema(schema) };
  if (result?.image) made.toModelOutput = () => ({ type: 'content', value: [{ type: 'text', text: result.text }, { type: 'file', mediaType: 'image/png', data: { type: 'data', data: result.image } }] });
  if (result) {
    made.execute = () => {
      if (result.failure) throw new Error(result.failure);
      return result.text;
    };
  }
  return tool(made);
}

function ask(one) {
  const { create, path, more, pick } = providers[one.api];
  const params = {
    model: pick(create({ ...more, baseURL: one.base + path, apiKey: one.key }), one.model),
    instructions: one.system,
    messages: one.messages.map((m) => ({ role: m.role, content: Array.isArray(m.content) ? m.content.map((p) => parts[p.type](p)) : m.content })),
    maxOutputTokens: one.max,
    temperature: one.temperature,
    stopSequences: one.stop,
    maxRetries: one.retries ?? 0,
    providerOptions: options[one.api]?.(one),
  };
  if (one.reasoning && one.api !== 'gemini') params.reasoning = one.reasoning;
  if (one.tools) {
    params.tools = Object.fromEntries(one.tools.map((t) => [t.name, toolOf(t, one.results?.[t.name])]));
    params.stopWhen = isStepCount(5);
    params.toolChoice = one.choice && { type: 'tool', toolName: one.choice };
  }
  return params;
}

const ofUsage = (u) => ({ in: u.inputTokens, out: u.outputTokens, cached: u.inputTokenDetails?.cacheReadTokens ?? 0, written: u.inputTokenDetails?.cacheWriteTokens ?? 0, reasoning: u.outputTokenDetails?.reasoningTokens ?? 0 });
const ofStep = (s) => ({
  text: s.text,
  thinking: s.reasoningText ?? '',
  calls: s.toolCalls.map((c) => [c.toolCallId, c.toolName, c.input]),
  bad: s.toolCalls.filter((c) => c.invalid).map((c) => String(c.error)),
  finish: s.finishReason,
  usage: ofUsage(s.usage),
  model: s.response.modelId,
});

/* Reads every part of a stream under its own rules: what is opened is closed, the deltas of a call are its input. */
async function follow(result, out) {
  const open = new Map(), inputs = new Map();
  out.deltas = 0;
  for await (const p of result.stream) {
    if (p.type === 'error') throw p.error;
    if (/^(text|reasoning)-start$/.test(p.type)) open.set(p.id, p.type);
    else if (/^(text|reasoning)-(delta|end)$/.test(p.type) && !open.has(p.id)) throw new Error(`${p.type} of a part that is not open`);
    else if (p.type === 'tool-input-start') inputs.set(p.id, '');
    else if (p.type === 'tool-input-delta') {
      inputs.set(p.id, inputs.get(p.id) + p.delta);
      out.deltas++;
    } else if (p.type === 'tool-call') {
      if (JSON.stringify(JSON.parse(inputs.get(p.toolCallId) || '{}')) !== JSON.stringify(p.input)) throw new Error(`the deltas of ${p.toolCallId} are not its input`);
    } else if (p.type === 'finish-step' && inputs.size > 0 && p.finishReason !== 'tool-calls') throw new Error(`calls, but ${p.finishReason}`);
    else if (p.type === 'start-step') inputs.clear();
    if (/^(text|reasoning)-end$/.test(p.type)) open.delete(p.id);
    if (p.type === 'text-delta') out.partial = (out.partial ?? '') + p.text;
  }
  if (open.size) throw new Error('parts left open');
}

async function perform(one, out) {
  const params = ask(one);
  const onError = () => {};
  if (one.mode === 'object' || one.mode === 'object stream') { // the older pair of calls for structured output
    const { tools, stopWhen, toolChoice, ...rest } = params;
    const asked = { ...rest, schema: jsonSchema(one.schema), schemaName: 'answer' };
    const r = one.mode === 'object' ? await generateObject(asked) : streamObject({ ...asked, onError });
    if (one.mode === 'object stream') for await (const p of r.fullStream) if (p.type === 'error') throw p.error;
    out.parsed = await r.object;
    out.steps = [{ finish: await r.finishReason, usage: ofUsage(await r.usage) }];
    return;
  }
  if (one.schema) params.output = Output.object({ schema: jsonSchema(one.schema), name: 'answer' });
  const result = one.mode === 'stream' ? streamText({ ...params, onError }) : await generateText(params);
  if (one.mode === 'stream') await follow(result, out);
  const steps = await result.steps;
  out.steps = steps.map(ofStep);
  if (one.schema) out.parsed = await result.output;
}

await answer(perform, (e) => ({ class: e.name, status: e.statusCode ?? null, retry: e.isRetryable ?? null, message: String(e.message), cause: e.cause ? String(e.cause.message ?? e.cause) : null, text: e.text ?? null,
  body: e.responseBody ?? null, stack: String(e.stack).slice(0, 900) }));
