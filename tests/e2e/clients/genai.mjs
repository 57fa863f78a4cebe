// Runs Google's official Node client; genai.py beside this file does the same with the Python one. What is expected is decided in
// test_genai.py.
import { answer, load } from './cases.mjs';

const { GoogleGenAI } = await load('@google/genai');

const parts = (r) => r.candidates?.[0]?.content?.parts ?? [];
function of(chunks) {
  const all = chunks.flatMap(parts);
  const last = chunks[chunks.length - 1];
  return {
    text: all.filter((p) => !p.thought).map((p) => p.text ?? '').join(''),
    thinking: all.filter((p) => p.thought).map((p) => p.text ?? '').join(''),
    calls: all.filter((p) => p.functionCall).map((p) => [p.functionCall.id ?? '', p.functionCall.name, p.functionCall.args ?? {}]),
    finish: chunks.map((c) => c.candidates?.[0]?.finishReason).filter(Boolean),
    usage: last?.usageMetadata ? { in: last.usageMetadata.promptTokenCount ?? 0, out: (last.usageMetadata.candidatesTokenCount ?? 0) + (last.usageMetadata.thoughtsTokenCount ?? 0) } : null,
    model: last?.modelVersion ?? '',
    chunks: chunks.length,
    content: { role: 'model', parts: all.filter((p) => p.text !== '' || p.thoughtSignature) },
  };
}

async function run(one) {
  const client = new GoogleGenAI({ apiKey: one.key, httpOptions: { baseUrl: one.url, retryOptions: { attempts: 1 } } });
  const params = { model: one.model, contents: one.contents, config: one.config };
  if (one.mode === 'plain') return of([await client.models.generateContent(params)]);
  if (one.mode === 'count') return { tokens: (await client.models.countTokens({ model: one.model, contents: one.contents })).totalTokens };
  if (one.mode === 'models') {
    const names = [];
    for await (const m of await client.models.list()) names.push(m.name);
    return { names };
  }
  if (one.mode === 'chat') {
    const chat = client.chats.create({ model: one.model, config: one.config });
    const first = await chat.sendMessage({ message: one.contents });
    const second = await chat.sendMessage({ message: 'and then?' });
    return { ...of([second]), first: of([first]) };
  }
  const chunks = [];
  try {
    for await (const chunk of await client.models.generateContentStream(params)) chunks.push(chunk);
  } catch (error) {
    return { ...of(chunks), error: { status: error.status ?? error.code ?? 0, message: String(error.message) } };
  }
  return of(chunks);
}

await answer(async (one, out) => Object.assign(out, await run(one)), (error) => ({ status: error.status ?? 0, message: String(error.message) }));
