"""Reasoning goes back to who made it as it came: whole, in order, with its signatures, whatever the client speaks and returns."""
import json

from harness import PROMPT, Gateway, Reply, calls, cases, chat_stream, eq, mock, provider, redacted, sub, text, think

SIGNATURE = 'EqQBCkYIARgC/+=='
SIGNED = {'type': 'reasoning.text', 'text': 'Let me see, 考え.', 'signature': SIGNATURE, 'format': 'anthropic-claude-v1', 'index': 0}
SUMMARY = {'type': 'reasoning.summary', 'summary': 'It weighed "both".', 'format': 'openai-responses-v1', 'index': 1}
SECRET = {'type': 'reasoning.encrypted', 'data': 'gAAAAAB+/x==', 'id': 'rs_0a1b', 'format': 'openai-responses-v1', 'index': 1}
DETAILS = [SIGNED, SUMMARY, SECRET]
CALL = {'id': 'call_1', 'type': 'function', 'function': {'name': 'weather', 'arguments': '{"city":"Bern"}'}}
SCHEMA = {'type': 'object', 'properties': {'city': {'type': 'string'}}}


def document(details=DETAILS):
    reasoning = ''.join(d.get('text') or d.get('summary') or '' for d in details)
    message = {'role': 'assistant', 'content': 'I look.', 'refusal': None, 'reasoning': reasoning, 'reasoning_details': details, 'tool_calls': [dict(CALL, index=0)]}
    return json.dumps({'id': 'gen-1', 'provider': 'P', 'model': 'm', 'object': 'chat.completion', 'created': 1, 'choices': [{'index': 0, 'logprobs': None, 'finish_reason': 'tool_calls', 'native_finish_reason': 'tool_use', 'message': message}],
                       'usage': {'prompt_tokens': 5, 'completion_tokens': 7, 'total_tokens': 12}}).encode()


def events():
    """As it streams them: text in fragments, then the signature alone, each element under its index."""
    def chunk(delta, finish=None):
        return 'data: ' + json.dumps({'id': 'gen-1', 'provider': 'P', 'model': 'm', 'object': 'chat.completion.chunk', 'created': 1, 'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish, 'logprobs': None}]}) + '\n\n'

    def part(detail, name, at, to):
        piece = detail[name][at:to]
        return chunk({'role': 'assistant', 'content': '', 'reasoning': piece, 'reasoning_details': [{'type': detail['type'], name: piece, 'format': detail['format'], 'index': detail['index']}]})
    out = [': OPENROUTER PROCESSING\n\n', part(SIGNED, 'text', 0, 6), part(SIGNED, 'text', 6, 99)]
    out.append(chunk({'role': 'assistant', 'content': '', 'reasoning': None, 'reasoning_details': [{'type': 'reasoning.text', 'signature': SIGNATURE, 'format': SIGNED['format'], 'index': 0}]}))
    out += [part(SUMMARY, 'summary', 0, 3), part(SUMMARY, 'summary', 3, 99)]
    out.append(chunk({'role': 'assistant', 'content': '', 'reasoning': None, 'reasoning_details': [SECRET]}))
    out += [chunk({'content': 'I look.'}), chunk({'tool_calls': [dict(CALL, index=0)]}), chunk({}, 'tool_calls'), 'data: [DONE]\n\n']
    return [event.encode() for event in out]


def ask(client, stream, history):
    """The request, and with `history` (what came of it) the one that follows."""
    if client == 'openai':
        messages = [{'role': 'user', 'content': PROMPT}]
        if history:
            messages += [history, {'role': 'tool', 'tool_call_id': 'call_1', 'content': 'warm'}]
        return '/v1/chat/completions', {'model': 'm', 'max_tokens': 9000, 'reasoning_effort': 'high', 'tools': [{'type': 'function', 'function': {'name': 'weather', 'parameters': SCHEMA}}], 'messages': messages, 'stream': stream}
    if client == 'anthropic':
        messages = [{'role': 'user', 'content': PROMPT}]
        if history:
            messages += [{'role': 'assistant', 'content': history}, {'role': 'user', 'content': [{'type': 'tool_result', 'tool_use_id': 'call_1', 'content': 'warm'}]}]
        return '/v1/messages', {'model': 'm', 'max_tokens': 9000, 'thinking': {'type': 'enabled', 'budget_tokens': 2000}, 'tools': [{'name': 'weather', 'input_schema': SCHEMA}], 'messages': messages, 'stream': stream}
    if client == 'openai-responses':
        items = [{'role': 'user', 'content': PROMPT}]
        if history:
            items += history + [{'type': 'function_call_output', 'call_id': 'call_1', 'output': 'warm'}]
        return '/v1/responses', {'model': 'm', 'input': items, 'reasoning': {'effort': 'high', 'summary': 'auto'}, 'tools': [{'type': 'function', 'name': 'weather', 'parameters': SCHEMA, 'strict': False}], 'store': False, 'stream': stream}
    contents = [{'role': 'user', 'parts': [{'text': PROMPT}]}]
    if history:
        contents += [{'role': 'model', 'parts': history}, {'role': 'user', 'parts': [{'functionResponse': {'name': 'weather', 'id': 'call_1', 'response': {'output': 'warm'}}}]}]
    return '/v1beta/models/m:' + ('streamGenerateContent?alt=sse' if stream else 'generateContent'), {'contents': contents, 'generationConfig': {'thinkingConfig': {'includeThoughts': True, 'thinkingBudget': 2000}}, 'tools': [{'functionDeclarations': [{'name': 'weather', 'parameters': SCHEMA}]}]}


def said(client, stream, answer):
    """What a client puts into its history: all it was told, as it was told."""
    if client == 'openai':
        if not stream:
            return answer.json()['choices'][0]['message']
        out = chat_stream(answer.events)
        return {'role': 'assistant', 'content': out['text'], 'tool_calls': [{'id': i, 'type': 'function', 'function': {'name': n, 'arguments': a}} for i, n, a in out['calls']]}
    if client == 'openai-responses':
        return (json.loads(answer.events[-1][1])['response'] if stream else answer.json())['output']
    if client == 'gemini':
        chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith('data: ')] if stream else [answer.json()]
        return [p for c in chunks for p in c['candidates'][0]['content']['parts'] if p != {'text': ''}]
    if not stream:
        return answer.json()['content']
    blocks = []
    for _, data in answer.events:
        value = json.loads(data)
        if value['type'] == 'content_block_start':
            blocks.append(dict(value['content_block']))
            blocks[-1].pop('citations', None)
        elif value['type'] == 'content_block_delta':
            delta = value['delta']
            name = {'text_delta': 'text', 'thinking_delta': 'thinking', 'signature_delta': 'signature', 'input_json_delta': 'partial_json'}[delta['type']]
            blocks[-1][name] = blocks[-1].get(name, '') + delta[name]
        elif value['type'] == 'content_block_stop' and blocks[-1]['type'] == 'tool_use':
            blocks[-1]['input'] = json.loads(blocks[-1].pop('partial_json', '{}'))
    return blocks


THOUGHT, HIDDEN = 'EqRsX+/sig==', 'ZW5jcnlwdGVk'
THOUGHTS = {'anthropic': ('messages', [{'type': 'thinking', 'thinking': 'Let me think.', 'signature': THOUGHT}, {'type': 'redacted_thinking', 'data': HIDDEN}, {'type': 'text', 'text': 'I look.'},
                                       {'type': 'tool_use', 'id': 'call_1', 'name': 'weather', 'input': {'city': 'Bern'}}]),
            'openai-responses': ('input', [{'type': 'reasoning', 'id': 'rs_mock0', 'summary': [{'type': 'summary_text', 'text': 'Let me think.'}], 'encrypted_content': 'gAAAA' + THOUGHT},
                                           {'type': 'reasoning', 'id': 'rs_mock1', 'summary': [], 'encrypted_content': 'gAAAA' + HIDDEN}, {'type': 'message', 'role': 'assistant', 'content': 'I look.'},
                                           {'type': 'function_call', 'call_id': 'call_1', 'name': 'weather', 'arguments': '{"city":"Bern"}'}])}


@cases(*((f'{c} to {u}', c, u) for u in THOUGHTS for c in ('openai', 'openai-responses', 'anthropic', 'gemini') if c != u))
def test_thoughts_come_back(case):
    _, client, kind = case
    up = mock()
    for stream in (False, True):
        with sub('stream' if stream else 'plain'):
            gateway = Gateway(providers={'up': provider(up, kind, retry={'attempts': 1})}, default_provider='up')
            up.default = think('Let me think.', THOUGHT) + redacted(HIDDEN) + text('I look.') + calls(('call_1', 'weather', '{"city":"Bern"}'))
            path, body = ask(client, stream, None)
            answer = gateway.post(path, body, [('anthropic-version', '2023-06-01')])
            eq(answer.status, 200, answer.text)
            path, body = ask(client, stream, said(client, stream, answer))
            eq(gateway.post(path, body, [('anthropic-version', '2023-06-01')]).status, 200)
            name, parts = THOUGHTS[kind]
            sent = up.last().json[name]
            eq(sent[1]['content'] if kind == 'anthropic' else sent[1:-1], parts)


@cases('anthropic', 'openai-responses', 'gemini')
def test_details_come_back(client):
    up = mock()
    for stream in (False, True):
        gateway = Gateway(providers={'router': provider(up, 'openrouter', retry={'attempts': 1}), 'other': provider(up, 'openrouter', retry={'attempts': 1})}, default_provider='router')
        up.default = Reply(events=events() if stream else None, body=None if stream else document(), lenient=True)
        with sub('stream' if stream else 'plain'):
            path, body = ask(client, stream, None)
            answer = gateway.post(path, body, [('anthropic-version', '2023-06-01')])
            eq(answer.status, 200, answer.text)
            assert SIGNATURE not in answer.text and SECRET['data'] not in answer.text, 'a bare secret'
            history = said(client, stream, answer)
            path, body = ask(client, stream, history)
            eq(gateway.post(path, body, [('anthropic-version', '2023-06-01')]).status, 200)
            message = up.last().json['messages'][-2]
            eq(message['role'], 'assistant')
            eq(message.get('reasoning_details'), DETAILS)
            assert 'reasoning_content' not in message, message
            eq((message['content'], message['tool_calls']), ('I look.', [CALL]))
        with sub('not to another, ' + ('stream' if stream else 'plain')):
            body['model'] = 'other/m'
            eq(gateway.post(path.replace('/models/m:', '/models/other/m:'), body, [('anthropic-version', '2023-06-01')]).status, 200)
            message = up.last().json['messages'][-2]
            assert 'reasoning_details' not in message and 'reasoning_content' not in message, message


def test_relayed_as_they_are():
    """A Chat Completions client has them in its own messages."""
    up = mock()
    gateway = Gateway(providers={'router': provider(up, 'openrouter')}, default_provider='router')
    up.default = Reply(body=document(), lenient=True)
    eq(gateway.post('/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': PROMPT}]}).body, document())
