// Runs one of LangChain's chat models. What a case is, and what is expected of it, is decided in libraries.py.
import { answer, cases, load } from './cases.mjs';

const { SystemMessage, HumanMessage, AIMessage, ToolMessage } = await load('@langchain/core/messages');
const { ChatOpenAI } = await load('@langchain/openai');
const { ChatAnthropic } = await load('@langchain/anthropic');
const { ChatGoogleGenerativeAI } = await load('@langchain/google-genai');

process.on('unhandledRejection', () => {}); // Google's older client leaves a broken stream's second reader alone

const common = (one) => ({ model: one.model, apiKey: one.key, maxRetries: one.retries ?? 0, temperature: one.temperature });
const openai = (one, more) => new ChatOpenAI({ ...common(one), maxTokens: one.max, configuration: { baseURL: one.base + '/v1' }, ...more });
const models = {
  openai: (one) => openai(one, { useResponsesApi: false, reasoning: one.reasoning && { effort: one.reasoning } }),
  responses: (one) => openai(one, { useResponsesApi: true, zdrEnabled: true, reasoning: one.reasoning && { effort: one.reasoning, summary: 'auto' } }),
  anthropic: (one) => new ChatAnthropic({ ...common(one), maxTokens: one.max, anthropicApiUrl: one.base, ...(one.reasoning ? { thinking: { type: 'enabled', budget_tokens: 2048 } } : {}) }),
  gemini: (one) => new ChatGoogleGenerativeAI({ ...common(one), maxOutputTokens: one.max, stopSequences: one.stop, baseUrl: one.base, ...(one.reasoning ? { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } } : {}) }),
};

const parts = {
  text: (p) => p,
  image: (p) => ({ type: 'image_url', image_url: { url: 'data:image/png;base64,' + p.data } }),
  document: (p) => ({ type: 'file', source_type: 'base64', mime_type: 'application/pdf', data: p.data, metadata: { filename: 'a.pdf' } }),
};
function conversation(one) {
  const list = one.messages.map((m) => new (m.role === 'user' ? HumanMessage : AIMessage)({ content: Array.isArray(m.content) ? m.content.map((p) => parts[p.type](p)) : m.content }));
  return one.system ? [new SystemMessage(one.system), ...list] : list;
}

/* Where each of its models keeps it: Gemini's plain answers have no standard blocks, Chat's have none for it. */
function reasoningOf(m) {
  const standard = m.contentBlocks.filter((b) => b.type === 'reasoning').map((b) => b.reasoning);
  const own = Array.isArray(m.content) ? m.content.filter((b) => b.type === 'thinking').map((b) => b.thinking) : [];
  return (standard.length ? standard : own).join('') || (m.additional_kwargs.reasoning_content ?? '');
}

function ofMessage(m) {
  const u = m.usage_metadata ?? {}, meta = m.response_metadata ?? {};
  return {
    text: m.text,
    thinking: reasoningOf(m),
    calls: (m.tool_calls ?? []).map((c) => [c.id, c.name, c.args]),
    bad: (m.invalid_tool_calls ?? []).map((c) => `${c.name}(${c.args}): ${c.error}`),
    finish: meta.finish_reason ?? meta.stop_reason ?? meta.finishReason ?? meta.status ?? m.additional_kwargs.finishReason ?? m.additional_kwargs.stop_reason,
    usage: { in: u.input_tokens, out: u.output_tokens, cached: u.input_token_details?.cache_read ?? 0, written: u.input_token_details?.cache_creation ?? 0, reasoning: u.output_token_details?.reasoning ?? 0 },
    model: meta.model_name ?? meta.model,
  };
}

function resultOf(call, { text, image, failure }) {
  const content = image ? [{ type: 'text', text }, { type: 'image_url', image_url: { url: 'data:image/png;base64,' + image } }] : (failure ?? text);
  return new ToolMessage({ tool_call_id: call.id, name: call.name, content, status: failure ? 'error' : 'success' });
}

async function turn(model, one, list, out) {
  if (one.mode !== 'stream') return model.invoke(list);
  let whole = null;
  for await (const chunk of await model.stream(list)) {
    whole = whole ? whole.concat(chunk) : chunk;
    out.partial = whole.text;
    out.deltas = (out.deltas ?? 0) + (chunk.tool_call_chunks ?? []).filter((c) => c.args).length;
  }
  return whole;
}

async function perform(one, out) {
  let model = models[one.api](one);
  const list = conversation(one);
  if (one.schema) {
    const method = { plain: 'jsonSchema', object: 'functionCalling' }[one.mode];
    out.parsed = await model.withStructuredOutput(one.schema, { name: 'answer', ...(method ? { method } : {}) }).invoke(list);
    return;
  }
  if (one.stop && one.api !== 'gemini') model = model.withConfig({ stop: one.stop });
  if (one.tools) {
    model = model.bindTools(one.tools.map(({ name, description, schema }) => ({ type: 'function', function: { name, description, parameters: schema } })), one.choice ? { tool_choice: one.choice } : {});
  }
  out.steps = [];
  while (true) {
    const said = await turn(model, one, list, out);
    out.steps.push(ofMessage(said));
    if (!one.results || !said.tool_calls?.length) return;
    list.push(said, ...said.tool_calls.map((c) => resultOf(c, one.results[c.name])));
  }
}

await answer(perform, (e) => ({ class: e.name === 'Error' ? e.constructor.name : e.name, status: e.status ?? null, code: e.lc_error_code ?? null, message: String(e.message), stack: String(e.stack).slice(0, 900) }));
